import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Answer,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { clinicFiles, pack } from '../helpers/platforms.ts'

// The main database is only read; `north` is written to; `south` stays as it was deployed.
const platform = uniqueName('clinic')
const called = new Set<string>()
let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway()
  const archive = await pack(await clinicFiles())
  for (const tenant of [undefined, 'north', 'south']) {
    const { body } = await gateway.register(platform, archive, tenant)
    expect(body).toMatchObject({ status: 'ready', functions_deployed: 40 })
  }
})
afterAll(() => gateway.stop())

async function call(name: string, params?: unknown, tenant?: string): Promise<Answer> {
  called.add(name)
  return gateway.call(platform, name, params, tenant)
}

/** The rows of a call that succeeds. */
async function rows(name: string, params?: unknown, tenant?: string): Promise<Json[]> {
  const { status, body } = await call(name, params, tenant)
  expect(body).toMatchObject({ rows: expect.any(Array), execution_time_ms: expect.any(Number) })
  expect([status, body.row_count]).toEqual([200, body.rows.length])
  return body.rows
}

/** The answer to a call as it is written: JSON.parse would lose digits. */
async function text(name: string, params: unknown): Promise<string> {
  called.add(name)
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, function: name, params }),
  })
  return response.text()
}

const north = (name: string, params?: unknown) => rows(name, params, 'north')

/** The status and the body of a call in `north` that fails. */
async function failure(name: string, params?: unknown): Promise<Json> {
  const { status, body } = await call(name, params, 'north')
  return { status, ...body }
}

describe('reading', () => {
  test('ping needs no parameters', async () => {
    expect(await rows('ping')).toEqual([{ ping: 'pong' }])
    expect(await rows('ping', [])).toEqual([{ ping: 'pong' }])
    expect(await rows('ping', {})).toEqual([{ ping: 'pong' }])
  })

  test('echo answers whatever it is given', async () => {
    for (const value of [42, 'text', true, [1, 2], ['a', null], { a: { b: [] } }, null]) {
      expect(await rows('echo', [value])).toEqual([{ echo: value }])
    }
  })

  test('echo_json answers JSON of every shape', async () => {
    for (const value of [{ b: 1, a: [1.5, null, 'é'] }, [], {}, 'text', 7, false]) {
      expect(await rows('echo_json', { p_value: value })).toEqual([{ echo_json: value }])
    }
  })

  test('get_patient_by_id: domains, a composite and an array', async () => {
    expect(await rows('get_patient_by_id', [1])).toEqual([
      {
        o_patient_id: 1,
        o_name: 'Anna Weber',
        o_birth_date: '1984-02-29',
        o_email: 'anna.weber@mail.example',
        o_phone: '+4930123450',
        o_address: { street: 'Seestr. 12', postcode: '10115', city: 'Berlin' },
        o_tags: ['asthma'],
        o_is_active: true,
      },
    ])
    const [chloe] = await rows('get_patient_by_id', { p_patient_id: 3 })
    expect(chloe).toMatchObject({
      o_name: 'Chloé Durand',
      o_email: null,
      o_address: { street: '12, rue "du Lac"', postcode: '67000', city: 'Strasbourg' },
    })
  })

  test('get_patient_by_id of nobody has no rows', async () => {
    const { body } = await call('get_patient_by_id', [999])
    expect(body).toMatchObject({ rows: [], row_count: 0 })
  })

  test('get_patient_token: a uuid, and null of nobody', async () => {
    expect(await rows('get_patient_token', [10])).toEqual([
      { get_patient_token: '00000000-0000-4000-8000-000000000010' },
    ])
    expect(await rows('get_patient_token', [999])).toEqual([{ get_patient_token: null }])
  })

  test('find_patient: the whole row of a table', async () => {
    expect(await rows('find_patient', ['TARO@mail.example'])).toEqual([
      {
        patient_id: 10,
        token: '00000000-0000-4000-8000-000000000010',
        name: '山田 太郎',
        birth_date: '1979-07-07',
        email: 'taro@mail.example',
        phone: '+4930123457',
        address: { street: 'Lindenallee 40', postcode: '14050', city: 'Berlin' },
        tags: [],
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/),
        updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/),
        is_active: true,
      },
    ])
    expect(await rows('find_patient', ['nobody@mail.example'])).toEqual([])
  })

  test('list_patients: pages, with the number of all', async () => {
    const all = await rows('list_patients')
    expect(all.map((row) => row.o_patient_id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(await rows('list_patients', [2, 3])).toEqual([
      { o_patient_id: 4, o_name: 'Dmytro Shevchenko', o_birth_date: '1971-08-24', o_total: 10 },
      { o_patient_id: 5, o_name: 'Elif Yılmaz', o_birth_date: '1999-12-31', o_total: 10 },
    ])
    const last = await rows('list_patients', { p_offset: 9 })
    expect(last.map((row) => row.o_name)).toEqual(['山田 太郎'])
  })

  test('search_patients: by name and e-mail, without wildcards', async () => {
    const names = async (params: unknown) =>
      (await rows('search_patients', params)).map((row) => row.o_name)
    expect(await names(['weber'])).toEqual(['Anna Weber', 'Hugo Weber'])
    expect(await names({ p_query: 'weber', p_limit: 1 })).toEqual(['Anna Weber'])
    expect(await names(["o'b"])).toEqual(["Frank O'Brien"])
    expect(await names(['太'])).toEqual(['山田 太郎'])
    expect(await names(['%'])).toEqual([])
  })

  test('list_doctors: the rows of a table with times of day', async () => {
    expect(await rows('list_doctors')).toHaveLength(3)
    expect(await rows('list_doctors', ['Paediatrics'])).toEqual([
      {
        doctor_id: 3,
        name: "Dr. Siobhan O'Neill",
        specialty: 'Paediatrics',
        email: 'siobhan.oneill@lakeside.example',
        works_from: '08:30:00',
        works_to: '14:30:00',
        is_active: true,
      },
    ])
  })

  test('list_appointments: every filter may be left out', async () => {
    const ids = async (params: unknown) =>
      (await rows('list_appointments', params)).map((row) => row.o_appointment_id)
    expect(await ids([])).toEqual([1, 2, 3, 4, 5])
    expect(await ids(['completed'])).toEqual([1, 2, 3])
    expect(await ids({ p_date: '2024-03-18' })).toEqual([2])
    expect(await ids({ p_doctor_id: 1, p_status: 'confirmed' })).toEqual([5])
    expect(await ids([null, null, 2])).toEqual([4])
    expect(await rows('list_appointments', ['booked'])).toEqual([
      {
        o_appointment_id: 4,
        o_patient: 'Ben Okafor',
        o_doctor: 'Dr. Jonas Falk',
        o_room: 'Consulting room 1',
        o_starts_at: '2024-04-03T08:00:00+00:00',
        o_ends_at: '2024-04-03T08:30:00+00:00',
        o_status: 'booked',
      },
    ])
  })

  test('clinic_time: the clock on the wall, answered in UTC', async () => {
    expect(await rows('clinic_time', ['2024-07-01', '08:30'])).toEqual([
      { clinic_time: '2024-07-01T06:30:00+00:00' },
    ])
    expect(await rows('clinic_time', { p_date: '2024-01-15' })).toEqual([
      { clinic_time: '2024-01-14T23:00:00+00:00' },
    ])
  })

  test('get_setting: text, a default, or null', async () => {
    expect(await rows('get_setting', ['clinic_name'])).toEqual([{ get_setting: 'Lakeside Clinic' }])
    expect(await rows('get_setting', ['invoice_due_days'])).toEqual([{ get_setting: '30' }])
    expect(await rows('get_setting', ['nothing', 'else'])).toEqual([{ get_setting: 'else' }])
    expect(await rows('get_setting', ['nothing'])).toEqual([{ get_setting: null }])
  })

  test('follow_up_date: no weekends', async () => {
    expect(await rows('follow_up_date', ['2024-03-01'])).toEqual([{ follow_up_date: '2024-03-15' }])
    expect(await rows('follow_up_date', ['2024-03-01', 1])).toEqual([
      { follow_up_date: '2024-03-04' },
    ])
  })

  test('is_slot_free: one may start as another ends', async () => {
    const free = async (...params: unknown[]) =>
      (await rows('is_slot_free', params))[0].is_slot_free
    expect(await free(1, '2024-03-04T08:00:00Z')).toBe(false)
    expect(await free(1, '2024-03-04T09:30:00+01:00')).toBe(true)
    expect(await free(1, '2024-03-04 07:45:00+00', 15)).toBe(true)
    expect(await free(1, '2024-03-04 07:45:00+00', 16)).toBe(false)
  })

  test('free_slots: what is left of a morning, none at a weekend', async () => {
    const slots = await rows('free_slots', [1, '2030-03-04'])
    expect(slots[0]).toEqual({
      o_starts_at: '2030-03-04T08:00:00+00:00',
      o_ends_at: '2030-03-04T08:30:00+00:00',
    })
    const times = slots.map((row) => row.o_starts_at.slice(11, 16))
    expect(times).toEqual(['08:00', '09:00', '09:30', '10:00', '10:30'])
    expect(await rows('free_slots', [1, '2030-03-09'])).toEqual([])
  })

  test('follow_up_chain: back to where the story began', async () => {
    expect(await rows('follow_up_chain', [3])).toEqual([
      step(1, 3, '2024-04-02T07:30:00+00:00', 'Bronchitis, resolved'),
      step(2, 2, '2024-03-18T08:00:00+00:00', 'Bronchitis, improving'),
      step(3, 1, '2024-03-04T08:00:00+00:00', 'Acute bronchitis'),
    ])
    function step(o_step: number, o_visit_id: number, o_visited_at: string, o_diagnosis: string) {
      return { o_step, o_visit_id, o_visited_at, o_diagnosis }
    }
  })

  test('patient_timeline: newest first, with details as JSON', async () => {
    const timeline = await rows('patient_timeline', [1])
    expect(timeline.map((row) => [row.o_at.slice(0, 16), row.o_kind, row.o_id])).toEqual([
      ['2024-04-02T07:30', 'appointment', 3],
      ['2024-04-02T07:30', 'visit', 3],
      ['2024-03-18T08:00', 'appointment', 2],
      ['2024-03-18T08:00', 'visit', 2],
      ['2024-03-05T10:00', 'payment', 1],
      ['2024-03-04T08:00', 'appointment', 1],
      ['2024-03-04T08:00', 'prescription', 1],
      ['2024-03-04T08:00', 'visit', 1],
    ])
    expect(timeline[4]).toMatchObject({ o_summary: '44.50 by card', o_details: { invoice_id: 1 } })
    expect(timeline[7]?.o_details).toEqual({
      pulse: 82,
      temperature: 37.4,
      blood_pressure: [128, 84],
    })
    expect(await rows('patient_timeline', { p_patient_id: 1, p_limit: 2 })).toHaveLength(2)
  })

  test('patient_summary: one JSON object, null of nobody', async () => {
    expect(await rows('patient_summary', [1])).toEqual([
      {
        patient_summary: {
          patient_id: 1,
          name: 'Anna Weber',
          address: { street: 'Seestr. 12', postcode: '10115', city: 'Berlin' },
          tags: ['asthma'],
          visits: 3,
          open_balance: 50,
        },
      },
    ])
    expect(await text('patient_summary', [1])).toContain('"open_balance": 50.00')
    expect(await rows('patient_summary', [999])).toEqual([{ patient_summary: null }])
  })

  test('get_invoice: cents stay cents', async () => {
    expect(await rows('get_invoice', [1])).toEqual([
      {
        o_invoice_id: 1,
        o_patient_id: 1,
        o_status: 'open',
        o_due_on: '2024-04-03',
        o_total: 94.5,
        o_paid: 44.5,
        o_balance: 50,
        o_lines: [
          { description: 'Consultation', quantity: 1, unit_price: 60 },
          { description: 'Spirometry', quantity: 2, unit_price: 17.25 },
        ],
      },
    ])
    expect(await text('get_invoice', [1])).toContain(
      '"o_total":94.50,"o_paid":44.50,"o_balance":50.00',
    )
  })

  test('invoice_items: an array of composites', async () => {
    expect(await rows('invoice_items', [1])).toEqual([
      {
        invoice_items: [
          { description: 'Consultation', quantity: 1, unit_price: 60 },
          { description: 'Spirometry', quantity: 2, unit_price: 17.25 },
        ],
      },
    ])
    expect(await rows('invoice_items', [999])).toEqual([{ invoice_items: [] }])
  })

  test('invoice_total: a number is an invoice, an array is its lines', async () => {
    const items = [
      { description: 'Gauze', quantity: 3, unit_price: 0.1 },
      { description: 'Plaster', quantity: 1, unit_price: '2.00' },
    ]
    expect(await text('invoice_total', [1])).toContain('[{"invoice_total":94.50}]')
    expect(await text('invoice_total', [items])).toContain('[{"invoice_total":2.30}]')
    expect(await text('invoice_total', { p_items: items })).toContain('[{"invoice_total":2.30}]')
    expect(await text('invoice_total', [[]])).toContain('[{"invoice_total":0.00}]')
  })

  test('payment_reference: every digit of a bigint, null for null', async () => {
    const base = 410000000000000100n
    const reference = base + 98n - (base % 97n)
    expect(await text('payment_reference', [1])).toContain(`[{"payment_reference":${reference}}]`)
    expect(await rows('payment_reference', [null])).toEqual([{ payment_reference: null }])
  })

  test("revenue_by_day: the clinic's days, not those of UTC", async () => {
    expect(await rows('revenue_by_day', ['2024-03-04', '2024-03-06'])).toEqual([
      { o_day: '2024-03-04', o_payments: 0, o_revenue: 0 },
      { o_day: '2024-03-05', o_payments: 1, o_revenue: 44.5 },
      { o_day: '2024-03-06', o_payments: 1, o_revenue: 80 },
    ])
  })

  test('apply_discount: INOUT and OUT are two columns', async () => {
    expect(await rows('apply_discount', [99.99, 15])).toEqual([{ p_amount: 84.99, o_saved: 15 }])
    expect(await text('apply_discount', { p_amount: 20 })).toContain(
      '[{"p_amount":18.00,"o_saved":2.00}]',
    )
  })

  test('slow_report: takes its time and answers', async () => {
    expect(await rows('slow_report', [0.05])).toEqual([
      { o_seconds: 0.05, o_patients: 10, o_visits: 3 },
    ])
  })
})

describe('writing', () => {
  test('create_patient: a composite from an object, domains, defaults', async () => {
    const address = { street: '1 "Quoted", Lane\\', postcode: '00000', city: null }
    const params = ['  Zoë Ångström ', '2000-02-29', 'zoe@mail.example', '+4930999999', address]
    expect(await north('create_patient', params)).toEqual([{ create_patient: 11 }])
    expect(await north('get_patient_by_id', [11])).toMatchObject([
      { o_name: 'Zoë Ångström', o_phone: '+4930999999', o_address: address, o_tags: [] },
    ])
    const named = { p_name: 'Plain', p_birth_date: '1999-01-01' }
    expect(await north('create_patient', named)).toEqual([{ create_patient: 12 }])
  })

  test('create_patient: what is refused, and how', async () => {
    expect(
      await failure('create_patient', ['Anna', '2000-01-01', 'ANNA.weber@mail.example']),
    ).toMatchObject({
      status: 409,
      error: 'query_failed',
      sqlstate: '23505',
      detail: expect.stringContaining('anna.weber@mail.example'),
    })
    expect(await failure('create_patient', ['   ', '2000-01-01'])).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: '23514',
    })
    expect(await failure('create_patient', ['Anna', '2000-02-30'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter: 'p_birth_date',
      type: 'date',
    })
    expect(await failure('create_patient', ['Anna', '2000-01-01', null, '030 123'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter: 'p_phone',
      type: 'phone_number',
      message: expect.stringContaining('phone_number_check'),
    })
  })

  test('deactivate_patient: a body of two statements', async () => {
    expect(await north('deactivate_patient', [12])).toEqual([{ deactivate_patient: 'archived' }])
    expect(await north('get_patient_by_id', [12])).toMatchObject([{ o_is_active: false }])
    expect(await north('deactivate_patient', [999])).toEqual([{ deactivate_patient: 'unknown' }])
  })

  test('set_patient_address: a composite in and out, null removes it', async () => {
    const address = { street: 'Neue Str. 1', postcode: '10999', city: 'Berlin' }
    expect(await north('set_patient_address', [2, address])).toEqual([address])
    expect(await north('get_patient_by_id', [2])).toMatchObject([{ o_address: address }])
    const nothing = { street: null, postcode: null, city: null }
    expect(await north('set_patient_address', [2, null])).toEqual([nothing])
    expect(await north('get_patient_by_id', [2])).toMatchObject([{ o_address: null }])
    expect(await failure('set_patient_address', [999, address])).toMatchObject({
      status: 404,
      sqlstate: 'PT404',
      message: 'No patient 999',
    })
  })

  test('tag_patient: any number of tags', async () => {
    expect(await north('tag_patient', [1, 'smoker', 'a,b "c"'])).toEqual([
      { tag_patient: ['a,b "c"', 'asthma', 'smoker'] },
    ])
    expect(await north('tag_patient', [1])).toEqual([
      { tag_patient: ['a,b "c"', 'asthma', 'smoker'] },
    ])
    expect(await north('tag_patient', [2, ['x', 'y']])).toEqual([{ tag_patient: ['x', 'y'] }])
    expect(await north('tag_patient', { p_patient_id: 2, p_tags: ['z'] })).toEqual([
      { tag_patient: ['x', 'y', 'z'] },
    ])
    expect(await north('tag_patient', [999, 'x'])).toEqual([{ tag_patient: null }])
  })

  test('set_setting: void is an empty string', async () => {
    expect(await north('set_setting', ['theme', { dark: true, sizes: [1, 2.5] }])).toEqual([
      { set_setting: '' },
    ])
    expect(await north('get_setting', ['theme'])).toEqual([
      { get_setting: '{"dark": true, "sizes": [1, 2.5]}' },
    ])
    expect(await north('set_setting', { p_key: 'theme', p_value: 'plain' })).toEqual([
      { set_setting: '' },
    ])
    expect(await north('get_setting', ['theme'])).toEqual([{ get_setting: 'plain' }])
    expect(await failure('set_setting', ['No Key', 1])).toMatchObject({
      status: 400,
      sqlstate: '23514',
      context: expect.stringContaining('set_setting'),
    })
  })

  test('attach_document and document_content: bytes', async () => {
    const content = '\\x255044460a00ff'
    expect(await north('attach_document', [1, 'scan.pdf', content])).toEqual([
      { attach_document: 1 },
    ])
    expect(await north('document_content', [1])).toEqual([{ document_content: content }])
    expect(await north('document_content', [999])).toEqual([{ document_content: null }])
    expect(await failure('attach_document', [1, 'again.pdf', content])).toMatchObject({
      status: 409,
      sqlstate: '23505',
    })
    expect(await failure('attach_document', [1, 'bad.pdf', '\\xzz'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter: 'p_content',
      type: 'bytea',
    })
  })

  test('book_appointment: nobody and no room is double-booked', async () => {
    const at = '2031-05-05T09:00:00+02:00'
    expect(await north('book_appointment', [1, 1, at])).toEqual([{ book_appointment: 6 }])
    expect(await failure('book_appointment', [2, 1, '2031-05-05T07:15:00Z'])).toMatchObject({
      status: 409,
      error: 'query_failed',
      sqlstate: '23P01',
      message: expect.stringContaining('appointments_doctor_excl'),
      detail: expect.any(String),
    })
    await north('book_appointment', { p_patient_id: 2, p_doctor_id: 2, p_starts_at: at })
    await north('book_appointment', [3, 3, at, 30, 3])
    expect(await failure('book_appointment', [4, 3, at])).toMatchObject({
      status: 409,
      error: 'query_failed',
      sqlstate: 'PT409',
      message: 'No room is free at that time',
      hint: 'Call free_slots() for the times that are left.',
    })
    expect(await failure('book_appointment', [999, 1, '2031-06-02T07:00:00Z'])).toMatchObject({
      status: 409,
      sqlstate: '23503',
      detail: 'Key (patient_id)=(999) is not present in table "patients".',
    })
  })

  test('cancel_appointment: twice is no error, too late is one', async () => {
    expect(await north('cancel_appointment', [6, 'ill'])).toEqual([{ o_status: 'cancelled' }])
    expect(await north('cancel_appointment', [6])).toEqual([{ o_status: 'cancelled' }])
    expect(await failure('cancel_appointment', [1])).toMatchObject({
      status: 409,
      sqlstate: 'PT409',
      message: 'Appointment 1 is completed and cannot be cancelled',
    })
    expect(await failure('cancel_appointment', [999])).toMatchObject({ status: 404 })
  })

  test('mark_no_show: an array in, a set of integers out', async () => {
    expect(await north('mark_no_show', [[1, 4, 5, 999]])).toEqual([{ mark_no_show: 4 }])
    expect(await north('mark_no_show', [[4]])).toEqual([])
    expect(await north('list_appointments', { p_status: 'no_show' })).toHaveLength(1)
  })

  test('record_visit: JSON in, with a default', async () => {
    const vitals = { pulse: 70, temperature: 36.6 }
    const params = { p_appointment_id: 5, p_diagnosis: 'Healthy', p_vitals: vitals }
    expect(await north('record_visit', params)).toEqual([{ record_visit: 4 }])
    const timeline = await north('patient_timeline', [3])
    expect(timeline.find((row) => row.o_kind === 'visit')).toMatchObject({
      o_id: 4,
      o_summary: 'Healthy',
      o_details: vitals,
    })
    expect(await failure('record_visit', params)).toMatchObject({ status: 409, sqlstate: '23505' })
    expect(await failure('record_visit', [999, 'Nothing'])).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: 'P0001',
      message: 'There is no appointment 999 that could have taken place',
      hint: 'Book it first; one that was cancelled has to be booked again.',
    })
    expect(await failure('record_visit', { ...params, p_vitals: [1] })).toMatchObject({
      status: 400,
      sqlstate: '23514',
    })
  })

  test('prescribe: what does not exist is not found', async () => {
    expect(await north('prescribe', [4, 'm01ae01', '1 tablet a day'])).toEqual([{ prescribe: 2 }])
    expect(await failure('prescribe', [4, 'X99', '1 a day'])).toMatchObject({
      status: 404,
      sqlstate: 'PT404',
      message: "No medicine with the code 'X99'",
    })
    expect(await failure('prescribe', [999, 'M01AE01', '1 a day'])).toMatchObject({
      status: 409,
      sqlstate: '23503',
    })
    expect(await failure('prescribe', [4, 'M01AE01', '1 a day', 0])).toMatchObject({
      status: 400,
      sqlstate: '23514',
    })
  })

  test('create_invoice: an array of objects as jsonb', async () => {
    const lines = [
      { description: 'Consultation', quantity: 1, unit_price: 60.5 },
      { description: 'Bandage', quantity: 2, unit_price: 1.25 },
    ]
    expect(await north('create_invoice', [2, lines])).toEqual([{ o_invoice_id: 3, o_total: 63 }])
    expect(await north('get_invoice', [3])).toMatchObject([{ o_lines: lines, o_status: 'open' }])
    expect(await failure('create_invoice', [2, []])).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: '22023',
      message: 'An invoice needs at least one line',
      hint: 'p_lines is an array of {"description", "quantity", "unit_price"}.',
    })
    expect(await failure('create_invoice', [2, [{ description: 'x' }]])).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: '23502',
      context: expect.stringContaining('create_invoice'),
    })
  })

  test('pay_invoice: in parts, and not too much', async () => {
    expect(await failure('pay_invoice', [1, 50.01])).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: 'P0001',
      message: 'Payment of 50.01 exceeds the open balance',
      detail: 'Invoice 1 has 50.00 left to pay.',
      hint: 'Pay the open balance at most; change is not recorded.',
      context: expect.stringMatching(/^PL\/pgSQL function pay_invoice\(.* at RAISE$/),
      database: `${platform}_north`,
    })
    expect(await north('pay_invoice', [1, 20, 'insurance'])).toEqual([
      { o_payment_id: 3, o_balance: 30, o_status: 'open' },
    ])
    expect(await north('pay_invoice', { p_invoice_id: 1, p_amount: '30.00' })).toEqual([
      { o_payment_id: 4, o_balance: 0, o_status: 'paid' },
    ])
    expect(await failure('pay_invoice', [999, 1])).toMatchObject({ status: 404 })
    expect(await failure('pay_invoice', [2, 1, 'shells'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter: 'p_method',
      type: 'payment_method',
    })
  })
})

describe('errors of reading functions', () => {
  test('an invoice that does not exist is a 404', async () => {
    expect(await failure('get_invoice', [999])).toMatchObject({
      status: 404,
      error: 'query_failed',
      sqlstate: 'PT404',
      message: 'No invoice 999',
      hint: 'The number is the one that create_invoice() returned.',
    })
  })

  test('a discount of 101 percent is a 400', async () => {
    expect(await failure('apply_discount', [10, 101])).toMatchObject({
      status: 400,
      error: 'query_failed',
      sqlstate: '22023',
      message: 'A discount of 101 percent makes no sense',
    })
  })

  test('an e-mail address that is none is a 400 that names the parameter', async () => {
    expect(await failure('find_patient', ['nobody'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      parameter: 'p_email',
      type: 'email_address',
    })
  })

  test('a status that is none is a 400 that names the parameter', async () => {
    expect(await failure('list_appointments', ['lost'])).toMatchObject({
      status: 400,
      error: 'invalid_request',
      message: expect.stringMatching(/^Parameter p_status \(appointment_status\).*"lost"/),
    })
  })

  test('the trigger functions are not there to be called', async () => {
    for (const name of ['touch_updated_at', 'audit_row_change']) {
      expect(await gateway.call(platform, name)).toMatchObject({
        status: 404,
        body: { error: 'function_not_found' },
      })
    }
  })
})

describe('tenants', () => {
  test('see nothing of what others wrote', async () => {
    for (const tenant of [undefined, 'south']) {
      expect(await rows('list_patients', [], tenant)).toHaveLength(10)
      expect(await rows('find_patient', ['zoe@mail.example'], tenant)).toEqual([])
      expect(await rows('get_setting', ['theme'], tenant)).toEqual([{ get_setting: null }])
      expect(await rows('document_content', [1], tenant)).toEqual([{ document_content: null }])
      expect(await rows('get_invoice', [1], tenant)).toMatchObject([{ o_balance: 50 }])
    }
  })

  test('write to their own database alone', async () => {
    await rows('set_setting', ['clinic_name', 'South'], 'south')
    expect(await rows('get_setting', ['clinic_name'], 'south')).toEqual([{ get_setting: 'South' }])
    expect(await north('get_setting', ['clinic_name'])).toEqual([
      { get_setting: 'Lakeside Clinic' },
    ])
    expect(await rows('get_setting', ['clinic_name'])).toEqual([{ get_setting: 'Lakeside Clinic' }])
  })

  test('that do not exist are not found', async () => {
    expect(await gateway.call(platform, 'ping', [], 'west')).toMatchObject({
      status: 404,
      body: { error: 'database_not_found', database: `${platform}_west` },
    })
  })
})

test('every function of the clinic was called', async () => {
  const functions = await gateway.query(
    `${platform}_main`,
    `select distinct proname as name
     from pg_proc
     where pronamespace = 'public'::regnamespace and prorettype <> 'trigger'::regtype`,
  )
  expect([...called].sort()).toEqual(functions.map(({ name }) => name).sort())
})
