// A table that may be wider than the window: it scrolls by itself, with the keyboard too.
import type { ComponentChildren } from 'preact'

type Tabled = { label: string; columns: readonly string[]; children: ComponentChildren }

export const Table = ({ label, columns, children }: Tabled) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: whatever scrolls has to be reachable by keyboard
  <section class="scrolls" tabIndex={0} aria-label={label}>
    <table>
      <thead>
        <tr>
          {columns.map((name) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  </section>
)
