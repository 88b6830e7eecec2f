"""The send story, one module a sentence:

expand     a campaign's audience becomes messages, chunk by chunk, every target accounted for
plan       messages get the deliveries of their step, in batches
dispatch   a batch is leased and sent window by window: intent, calls, result
outcomes   what a call came to is written down
receipts   what providers say later is merged, forward only
settle     messages whose deliveries moved are decided: next step, hold, or final
reap       leases and windows that lost their worker, and campaigns that are finished
"""
