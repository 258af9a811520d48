import { table } from '../table.ts'

/** The figures that have an aim, for the table at the end. */
export class Summary {
  readonly #rows: string[][] = []

  add(what: string, value: number, aim: { atLeast: number } | { atMost: number }): void {
    if (Number.isNaN(value)) return
    const isMet = 'atLeast' in aim ? value >= aim.atLeast : value <= aim.atMost
    const text = 'atLeast' in aim ? `>= ${aim.atLeast}` : `<= ${aim.atMost}`
    this.#rows.push([what, value.toFixed(2), text, isMet ? 'met' : 'MISSED'])
  }

  print(): void {
    if (this.#rows.length === 0) return
    console.log(`Aims\n\n${table([['', 'is', 'aim', ''], ...this.#rows])}\n`)
  }
}
