// What may happen to a simulated installation, each as one method; when it happens is left to the seeded world and to
// the exhaustive one.
import type { AgentId } from '@longshore/protocol'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import { environment, type FleetPorts, type Member } from './fleet-parts.ts'
import { agentRow } from './simulated-controller.ts'
import { SimulatedInstallation } from './simulated-installation.ts'

export class Fleet extends SimulatedInstallation {
  static async make(ports: FleetPorts): Promise<Fleet> {
    return new Fleet(ports, await openStore({ path: ':memory:' }))
  }

  killAgent(member: Member, downMs: number): void {
    if (!member.agent.isAlive()) return
    this.note(`the agent of ${member.name} died`)
    const { agent } = member
    agent.kill()
    this.noticeLoss(member)
    this.later(downMs, () => {
      if (member.agent === agent && !agent.isAlive()) this.startAgent(member)
    })
  }

  killController(downMs: number): void {
    const { controller } = this
    if (!controller.isAlive()) return
    this.note('the controller died')
    controller.kill()
    this.later(downMs, () => {
      if (!controller.isAlive()) this.startController()
    })
    for (const member of [...this.members, ...this.clones]) this.connectSoon(member)
  }

  /**
   * The controller stands still, another one takes over, and the first goes on as if nothing had happened, until it is
   * found and ended.
   */
  takeOver(stillMs: number): void {
    const former = this.controller
    if (!former.isOpen()) return
    this.note(`another controller takes over from one that stands still for ${stillMs} ms`)
    former.standStill()
    this.formers.push(former)
    this.controller = this.makeController()
    this.startController()
    for (const member of [...this.members, ...this.clones]) {
      const { session } = member
      // it hears nothing for too long
      this.later(this.random.integer(0, 40_000), () => {
        if (member.heldBy === former && member.session === session) this.noticeLoss(member)
        this.connectSoon(member)
      })
    }
    this.later(stillMs, () => former.goOn())
    this.later(stillMs + 40_000, () => former.kill())
  }

  restartEngine(member: Member, downMs: number): void {
    if (!member.host.isUp()) return
    this.note(`the engine of ${member.name} restarts`)
    member.host.restart(downMs)
  }

  takeRegistryDown(forMs: number): void {
    this.registry.isDown = true
    this.later(forMs, () => {
      this.registry.isDown = false
    })
  }

  /** @param forMs 0: the session ends, and the network is there */
  cutOff(member: Member, forMs: number): void {
    if (member.isCutOff) return
    this.note(`${member.name} is cut off for ${forMs} ms`)
    member.isCutOff = true
    this.noticeLoss(member)
    this.later(forMs, () => {
      member.isCutOff = false
      this.connectSoon(member)
    })
  }

  /** The host is set up again: a new key, an empty journal; its engine keeps its containers or is empty too. */
  wipe(member: Member, isEngineLost: boolean, downMs: number): void {
    if (member.isBeingSetUp) return
    this.note(`${member.name} is set up again ${isEngineLost ? 'from nothing' : 'beside its containers'}`)
    const former = member.agent
    former.kill()
    this.noticeLoss(member)
    former.journal.close()
    if (isEngineLost) member.host.forget()
    for (const { id } of member.host.containers.values()) member.inherited.add(id)
    member.isBeingSetUp = true
    member.agent = this.makeAgent(member, this.nextAgentId())
    this.later(downMs, () => {
      this.#reRegister(member, former.id).catch((error: unknown) => this.fail(error))
    })
  }

  /** Another machine comes up from a copy of this one's disk as it was before its first command. */
  clone(member: Member): void {
    if (member.hasClone) return
    this.note(`${member.name} has a clone`)
    member.hasClone = true
    const clone = this.makeMember({ ...member, name: `${member.name}-clone` }, member.agent.id)
    clone.hasClone = true
    this.clones.push(clone)
    this.startAgent(clone)
  }

  /** Somebody finds the machines that are there twice, and turns the copies off. */
  endClones(): void {
    for (const clone of this.clones) {
      clone.isOff = true
      clone.agent.kill()
      this.noticeLoss(clone)
    }
  }

  jumpClock(byMs: number): void {
    this.note(`the controller's clock jumps by ${byMs} ms`)
    this.controllerSkewMs += byMs
  }

  /** As an enrolment with a join token made with `--replace`. */
  async #reRegister(member: Member, former: AgentId): Promise<void> {
    const nowMs = this.time.nowMs()
    await this.store.transaction(async (tx) => {
      const row = await tx.agent(former)
      if (row !== undefined) await tx.putAgent({ ...row, state: 'revoked', stateReason: 'replaced' })
      const { id } = member.agent
      await tx.putAgent({ ...agentRow(id, member.name, environment, nowMs), labels: member.labels })
    })
    member.isBeingSetUp = false
    this.startAgent(member)
  }
}
