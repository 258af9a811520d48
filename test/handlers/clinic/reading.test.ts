import { describe, expect, test } from 'vitest'

import { call, failure, gateway, platform, rows, setUp, text } from './setup.ts'

setUp()

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
