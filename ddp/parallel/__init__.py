"""Where gradients meet the network: shards, buckets, the reduction tree, sliced optimizers.

Read in this order: `shards` (who computes what, and in which order sums are taken), `layout`
(where each parameter lies in flat memory, what is exchanged together, who owns what), `flat`
(that plan as memory), `reducer` (hooks -> buckets -> exchange), `sharded_optimizer`, `buffers`.
The first two are pure.
"""
