import { describe, expect, test } from 'vitest'
import { didYouMean, nearMisses } from '../../../../lib/call/bind/near-misses.ts'
import { editDistance } from '../../../../lib/common/edit-distance.ts'

const FUNCTIONS = [
  'book_appointment',
  'cancel_appointment',
  'create_patient',
  'find_patient',
  'get_invoice',
  'get_patient_by_id',
  'list_appointments',
  'list_patients',
  'ping',
  'revenue_by_day',
  'set_setting',
]

describe('a name that may be meant', () => {
  test.each([
    ['is spelled almost so', 'get_pateint_by_id', 'get_patient_by_id'],
    ['lacks a letter', 'list_patiens', 'list_patients'],
    ['has a letter too many', 'pingg', 'ping'],
    ['has two letters swapped', 'ipng', 'ping'],
    ['has no underscores', 'getpatientbyid', 'get_patient_by_id'],
    ['has others', 'get_patientby_id', 'get_patient_by_id'],
    ['is written in another case', 'getPatientById', 'get_patient_by_id'],
    ['is singular', 'list_patient', 'list_patients'],
    ['is plural', 'get_invoices', 'get_invoice'],
    ['has another plural', 'revenues_by_days', 'revenue_by_day'],
    ['has a prefix', 'fn_find_patient', 'find_patient'],
    ['ends too early', 'get_patient', 'get_patient_by_id'],
    ['goes on', 'get_invoice_with_lines_and_payments', 'get_invoice'],
  ])('%s', (_, name, meant) => {
    expect(nearMisses(name, FUNCTIONS)[0]).toBe(meant)
  })

  test.each(['no_such_function', 'x', '', '_', 'pong_the_ball', 'x'.repeat(1_000_000)])(
    'is not there: %#',
    (name) => {
      expect(nearMisses(name, FUNCTIONS)).toEqual([])
    },
  )

  test('is one of three at most, the nearest first', () => {
    const names = ['list_a', 'list_abc', 'list_ab', 'list_abcd', 'list_abcde', 'list_x']
    expect(nearMisses('list_abcdef', names)).toEqual(['list_abcde', 'list_abcd', 'list_abc'])
  })

  test('is not the name itself, nor told twice', () => {
    expect(nearMisses('ping', ['ping', 'pings', 'pings'])).toEqual(['pings'])
  })

  test.each([
    ['id', ['p_id', 'p_name'], ['p_id']],
    ['p_ids', ['p_id', 'p_name'], ['p_id']],
    ['patientId', ['p_patient_id', 'p_doctor_id'], ['p_patient_id']],
    ['P_NAME', ['p_id', 'p_name'], ['p_name']],
    ['address', ['p_addresses', 'p_age'], ['p_addresses']],
    ['categories', ['p_category'], ['p_category']],
    ['p_status', ['p_statu', 'p_class'], ['p_statu']],
    ['color', ['p_name'], []],
  ])('of a parameter: %s', (name, names, expected) => {
    expect(nearMisses(name, names)).toEqual(expected)
  })

  test('is found among thousands at once', () => {
    const names = Array.from({ length: 5000 }, (_, i) => `get_something_or_other_${i}`)
    const started = performance.now()
    expect(nearMisses('get_something_or_othre_4711', names)[0]).toBe('get_something_or_other_4711')
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

test('the names are told as a question', () => {
  expect(didYouMean([])).toBe('')
  expect(didYouMean(['a'])).toBe('; did you mean a?')
  expect(didYouMean(['a', 'b'])).toBe('; did you mean a or b?')
  expect(didYouMean(['a', 'b', 'c'])).toBe('; did you mean a, b or c?')
})

describe('the distance of two words', () => {
  test.each([
    ['', '', 0],
    ['abc', 'abc', 0],
    ['abc', 'ab', 1],
    ['abc', 'xabc', 1],
    ['abc', 'axc', 1],
    ['abc', 'acb', 1],
    ['abcd', 'badc', 2],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['saturday', 'sunday', 3],
  ])('%s, %s: %i', (a, b, distance) => {
    expect(editDistance(a, b, 10)).toBe(distance)
    expect(editDistance(b, a, 10)).toBe(distance)
    expect(editDistance(a, b, distance)).toBe(distance)
    expect(editDistance(a, b, distance - 1)).toBeUndefined()
  })
})
