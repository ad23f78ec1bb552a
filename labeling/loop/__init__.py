"""The stages of the loop that touch the database, one module a stage, in this order:

importing, featuring, presenting, annotating, consistency, snapshotting, registering,
predicting, acquiring. Each holds the reads and the writes of its stage; functions take and
return models or ids, never a request. The arithmetic of a stage is in `ml`.
"""
