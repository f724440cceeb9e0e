/** A program for tests: prints how the NAT before this host behaves, as JSON. argv: `<server> <silent ms>`. */
import { natBehaviour } from '../../../gateway/dataplane/nat/behaviour.ts'
import { StunSocket } from '../../../gateway/dataplane/nat/stun-socket.ts'

const [, , server = '', silentMs = '1200'] = process.argv
using socket = await StunSocket.open('udp4', 7443)
process.stdout.write(`${JSON.stringify((await natBehaviour(socket, server, Number(silentMs))) ?? {})}\n`)
