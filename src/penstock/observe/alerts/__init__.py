"""Alerts: computed from the ledger, told once, and told again when they are over.

    reading     what the ledger, the budgets, the circuits and the keys say now    -> plain readings
    measures    what readings come to, in words and beside their thresholds        -> Measured
    rules       whether that fires, worsens or clears, given what was known        -> Step
    watching    does it all in a round, keeps it in the store, and delivers
    sinks       to whom, through Apprise

Only `reading`, `watching` and `sinks` touch the world.
"""
