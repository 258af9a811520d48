import { describe, expect, test } from 'vitest'

import { failure, gateway, north, platform, rows, setUp } from './setup.ts'

setUp()

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
