/** Hosts become a cluster by the command line alone: init, token, join; and what is refused on the way. */
import t from 'tap'
import { joinedHosts } from '../helpers/hosts.ts'
import { needsRoot } from '../helpers/netns.ts'

t.test('three hosts from nothing to a cluster', { skip: needsRoot }, async (t) => {
  const net = await joinedHosts(t, 3)
  const views = await Promise.all(net.hosts.map((h) => h.hosts()))
  t.match(
    views[0]?.map((h) => [h.hostId, h.member?.name, h.member?.slice, h.member?.state]),
    [
      [1, 'h1', '10.100.1.0/24', 'active'],
      [2, 'h2', '10.100.2.0/24', 'active'],
      [3, 'h3', '10.100.3.0/24', 'active'],
    ],
  )
})
