#!/bin/sh
# The embedded model from nothing: corpus, training, export.  MINUTES of training
# (default 180 for the trunk, 15 for the draft layer); continues where it stopped.
# Needs numpy, regex, tokenizers and torch (train/requirements.txt).
set -eu
cd "$(dirname "$0")/../.."
out=${OUT:-build/tiny-model}
mkdir -p "$out"
[ -e "$out/train.tokens" ] || python3 engine/tiny/corpus/make_corpus.py --out "$out" --count 120000 --seed 6
python3 engine/tiny/train/train.py --out "$out" --minutes "${MINUTES:-180}" \
    --draft-minutes "${DRAFT_MINUTES:-15}" --rows 4
python3 engine/tiny/train/export.py "$out/checkpoint.pt" "$out/tokenizer.json" "$out/qagent-tiny.gguf"
python3 engine/tiny/corpus/evaluation.py --out "$out"
ls -l "$out/qagent-tiny.gguf"
echo "measure it: qagent eval $out/heldout_a.jsonl -m $out/qagent-tiny.gguf --out runs/heldout_a"
