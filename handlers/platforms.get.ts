export { default } from './admin/platforms.get.ts'
