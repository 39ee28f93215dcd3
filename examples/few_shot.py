"""Teach a chip three digits that its features have never seen, from one, two and five samples of each."""

from bimhw.studies.few_shot import few_shot

rows = few_shot("loihi2", shots=(1, 2, 5), hidden=32, epochs=2, old_samples=140)
print(f"{'rule':10} {'shots':>5} {'new digits':>10} {'old digits':>10} {'forgotten':>9} {'uJ a shot':>9}")
for r in rows:
    print(
        f"{r.rule:10} {r.shots:5} {r.new_accuracy:10.1%} {r.old_accuracy:10.1%} {r.forgotten:9.1%} {r.energy_uj:9.2f}"
    )
