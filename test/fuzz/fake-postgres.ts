/**
 * A server that speaks the extended and the simple query protocol, for the fuzz tests. A statement's
 * text is `<what>:<token>`, and everything in its answer has the token, so that an answer that
 * reaches another query is seen.
 */
export class FakePostgres {
  readonly #send: (message: Buffer) => void
  readonly #prepared = new Map<string, string>()
  readonly #portals = new Map<string, string>()
  #input = Buffer.alloc(0)
  #isSkipping = false
  /** An error of the commit, told at Sync. */
  #atSync: Buffer | undefined

  constructor(send: (message: Buffer) => void) {
    this.#send = send
  }

  get prepared(): number {
    return this.#prepared.size
  }

  take(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk])
    while (this.#input.length >= 5 && this.#input.length > this.#input.readUInt32BE(1)) {
      const end = 1 + this.#input.readUInt32BE(1)
      const type = String.fromCharCode(this.#input[0]!)
      const fields = this.#input.toString('latin1', 5, end).split('\0')
      this.#input = this.#input.subarray(end)
      this.#onMessage(type, fields)
    }
  }

  #onMessage(type: string, [first = '', second = '']: string[]): void {
    if (type === 'S') {
      this.#sync()
      return
    }
    if (this.#isSkipping) return
    if (type === 'P') this.#parse(first, second)
    else if (type === 'B') this.#bind(first, second)
    else if (type === 'D') this.#send(description())
    else if (type === 'E') this.#execute(this.#portals.get(first)!)
    else if (type === 'C') {
      if (first[0] === 'S') this.#prepared.delete(first.slice(1))
      this.#send(message('3', ''))
    } else if (type === 'Q') {
      for (const text of first.split(';')) {
        if (!this.#isSkipping) this.#send(description())
        if (!this.#isSkipping) this.#execute(text)
      }
      this.#sync()
    }
  }

  /** The end of a transaction. */
  #sync(): void {
    if (this.#atSync && !this.#isSkipping) this.#send(this.#atSync)
    this.#atSync = undefined
    this.#isSkipping = false
    this.#send(message('Z', 'I'))
  }

  #parse(name: string, text: string): void {
    if (text.startsWith('parse-error:')) this.#fail(errorOf(text, '42883'))
    else if (name !== '' && this.#prepared.has(name)) this.#fail(errorOf(text, '42P05'))
    else {
      this.#prepared.set(name, text)
      this.#send(message('1', ''))
    }
  }

  #bind(portal: string, name: string): void {
    const text = this.#prepared.get(name)
    if (text === undefined) this.#fail(errorOf('gone:', '26000'))
    else if (text.startsWith('bind-error:')) this.#fail(errorOf(text, '22P02'))
    else {
      this.#portals.set(portal, text)
      this.#send(message('2', ''))
    }
  }

  #execute(text: string): void {
    const [what, token = ''] = text.split(':')
    if (what === 'none') {
      this.#send(message('I', ''))
      return
    }
    if (what === 'deallocate') this.#prepared.clear()
    if (what === 'notices') this.#send(message('N', 'SNOTICE\0Mx\0\0'))
    this.#send(rowOf(token))
    if (what === 'report') this.#send(message('S', 'TimeZone\0UTC\0'))
    if (what === 'error') this.#fail(errorOf(text, 'P0001'))
    else if (what === 'suspend') this.#send(message('s', ''))
    else {
      this.#send(rowOf(token))
      this.#send(message('C', 'SELECT 2\0'))
    }
    if (what === 'commit-error') this.#atSync = errorOf(text, '23505')
  }

  #fail(error: Buffer): void {
    this.#isSkipping = true
    this.#send(error)
  }
}

/** A message of the protocol. */
export function message(type: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(4 + bytes.length, 1)
  return Buffer.concat([head, bytes])
}

function rowOf(token: string): Buffer {
  const field = Buffer.from(token)
  const body = Buffer.alloc(6)
  body.writeInt16BE(2, 0)
  body.writeInt32BE(field.length, 2)
  return message('D', Buffer.concat([body, field, Buffer.from([255, 255, 255, 255])]))
}

function description(): Buffer {
  const column = Buffer.alloc(18)
  column.writeInt32BE(25, 6)
  const two = Buffer.concat([Buffer.from('a\0'), column, Buffer.from('b\0'), column])
  return message('T', Buffer.concat([Buffer.from([0, 2]), two]))
}

function errorOf(text: string, code: string): Buffer {
  return message('E', `SERROR\0VERROR\0C${code}\0M${text.split(':')[1]}\0\0`)
}
