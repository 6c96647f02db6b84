#!/bin/sh
# The embedded model from nothing: corpus, training, export.  MINUTES of training
# (default 300 for the trunk, 15 for the draft layer) on COUNT transcripts (default
# 250,000: none is read twice on two cores); continues where it stopped.
# Needs numpy, regex, tokenizers and torch (train/requirements.txt).
set -eu
cd "$(dirname "$0")/../.."
out=${OUT:-build/tiny-model}
mkdir -p "$out"
[ -e "$out/train.tokens" ] || python3 engine/tiny/corpus/make_corpus.py --out "$out" --count "${COUNT:-250000}" --seed 9
python3 engine/tiny/train/train.py --out "$out" --minutes "${MINUTES:-300}" \
    --draft-minutes "${DRAFT_MINUTES:-15}" --rows 4 --decay 0.55 --plans 0.35 --short 0.45
python3 engine/tiny/train/export.py "$out/checkpoint.pt" "$out/tokenizer.json" "$out/qagent-tiny.gguf"
python3 engine/tiny/corpus/evaluation.py --out "$out"
ls -l "$out/qagent-tiny.gguf"
echo "measure it: qagent eval $out/heldout_a.jsonl -m $out/qagent-tiny.gguf --out runs/heldout_a"
