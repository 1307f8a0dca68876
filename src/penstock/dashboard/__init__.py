"""The web pages: what the ledger and the counters know, for people. Served by the gateway, or by `penstock dashboard`.

Pages are made on the server and work without JavaScript; what they show is in their address. Nothing here is on a
call's path.
"""
