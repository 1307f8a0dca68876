"""Benchmarks of Penstock, each one command: `python -m bench NAME`, all of them: `python -m bench`.

A bench is a module with `measure(plan: Plan) -> Section`. What it measures runs pinned to one core, what measures it on
another, beside a baseline in the same run. `__main__` prints the section and writes it into docs/benchmarks.md.
"""
