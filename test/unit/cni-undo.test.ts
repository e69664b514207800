import test from 'ava'
import { Undo } from '../../cni/undo.ts'

test('Undo takes the steps back, the last one first, and each once', (t) => {
  const taken: number[] = []
  const undo = new Undo()
  undo.defer(() => taken.push(1))
  undo.defer(() => taken.push(2))
  undo[Symbol.dispose]()
  undo[Symbol.dispose]()
  t.deepEqual(taken, [2, 1])
})

test('Undo takes nothing back once it is to forget', (t) => {
  const undo = new Undo()
  undo.defer(() => t.fail())
  undo.forget()
  undo[Symbol.dispose]()
  t.pass()
})

test('Undo goes on after a step that fails, and throws the first failure', (t) => {
  const taken: number[] = []
  const undo = new Undo()
  undo.defer(() => taken.push(1))
  undo.defer(() => {
    throw new Error('second')
  })
  undo.defer(() => {
    throw new Error('first')
  })
  t.throws(() => undo[Symbol.dispose](), { message: 'first' })
  t.deepEqual(taken, [1])
})
