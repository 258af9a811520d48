export { default } from '../admin/database/create.post.ts'
