#!/usr/bin/env bash
# The study of docs/study: tools/study.sh FOLDER SEEDS SEEDS_128 MEASURED
# Trains models for each task with SEEDS (d_vocab 128: SEEDS_128), proves and checks them by the strategies below, measures
# the proofs about models whose names match MEASURED, and writes the report. Running it again continues where it stopped.
set -euo pipefail
folder=$1 seeds=$2 seeds_128=$3 measured=$4

train() { # k, d_vocab, seeds
    local mark="$folder/trained-$1-$2-$3"
    [ -e "$mark" ] || { certgen train --k "$1" --d-vocab "$2" --seeds "$3" -o "$folder/models" && touch "$mark"; }
}
mkdir -p "$folder/models"
for k in 4 5 10 20; do train "$k" 64 "$seeds"; done
train 10 128 "$seeds_128"

strategies=(-s cubic -s separable-by-max -s separable-by-max/max-diff)
for direct in max-diff-exact mean-query+max-diff; do
    for error in exact-EQKE svd max-diff max-diff-subproduct-recursive; do
        strategies+=(-s "sub-cubic/$direct/mean-query+diff/$error")
    done
done
certgen sweep "$folder/models" "${strategies[@]}" --no-length -o "$folder/results"
certgen sweep "$folder"/models/$measured "${strategies[@]}" -s adaptive -s separable-relaxed -s exact -o "$folder/results"
certgen report "$folder/results" -o "$folder/report.html"
