// A button whose effect is asked about first. The dialog is modal: the focus goes in, stays in, and comes back.
import type { ComponentChildren } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { usePage } from '../page-context.ts'

type Asked = {
  label: string
  /** The question, with what it is about. */
  question: string
  isDangerous?: boolean
  children?: ComponentChildren
  /** What it says when it fails is shown in the dialog. */
  act: () => Promise<void>
}

export const ConfirmButton = ({ label, question, isDangerous = false, children, act }: Asked) => {
  const { isVouchedFor } = usePage()
  const dialog = useRef<HTMLDialogElement>(null)
  const [isBusy, setIsBusy] = useState(false)
  const [refusal, setRefusal] = useState<string | null>(null)
  const open = (): void => {
    setRefusal(null)
    dialog.current?.showModal()
  }
  const confirm = async (): Promise<void> => {
    setIsBusy(true)
    try {
      await act()
      dialog.current?.close()
    } catch (error) {
      setRefusal(error instanceof Error ? error.message : String(error))
    }
    setIsBusy(false)
  }
  return (
    <>
      <button type="button" class={isDangerous ? 'danger' : ''} disabled={!isVouchedFor} onClick={open}>
        {label}
      </button>
      <dialog ref={dialog} aria-label={question}>
        <p>{question}</p>
        {children}
        <p role="alert">{refusal}</p>
        <div class="choices">
          <button type="button" autofocus onClick={() => dialog.current?.close()}>
            No, leave it
          </button>
          <button
            type="button"
            class={isDangerous ? 'danger' : 'main'}
            disabled={isBusy}
            onClick={() => void confirm()}
          >
            {label}
          </button>
        </div>
      </dialog>
    </>
  )
}
