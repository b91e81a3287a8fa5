#!/usr/bin/env bash
# The study of docs/study: tools/study.sh FOLDER SEEDS SEEDS_128 CLOSER
# Trains models for each task with SEEDS (d_vocab 128: SEEDS_128) and proves and checks all of them by the strategies
# below; for the seeds that match CLOSER also by slower ones, and with the length of every proof. Then the report is made.
# Running it again continues where it stopped.
set -euo pipefail
folder=$1 seeds=$2 seeds_128=$3 closer=$4
models=$folder/models results=$folder/results

train() { # k, d_vocab, seeds
    local mark="$folder/trained-$1-$2-$3"
    [ -e "$mark" ] || { certgen train --k "$1" --d-vocab "$2" --seeds "$3" -o "$models" && touch "$mark"; }
}
mkdir -p "$models"
for k in 4 5 10 20; do train "$k" 64 "$seeds"; done
train 10 128 "$seeds_128"

common=(-s cubic -s separable-by-max -s separable-by-max/max-diff -s adaptive)
for direct in max-diff-exact mean-query+max-diff; do
    for attention in mean-query+diff upper-envelope; do
        for error in exact-EQKE svd max-diff max-diff-subproduct-recursive; do
            common+=(-s "sub-cubic/$direct/$attention/$error")
        done
    done
done
certgen sweep "$models" "${common[@]}" --no-length -o "$results"
certgen sweep "$models"/max-of-4-vocab-64-*.safetensors -s exact --no-length -o "$results"
for k in 10 20; do
    certgen sweep "$models"/max-of-$k-vocab-64-seed-$closer.safetensors -s separable-relaxed --no-length -o "$results"
    certgen sweep "$models"/max-of-$k-vocab-64-seed-$closer.safetensors "${common[@]}" -o "$results"
done
certgen sweep "$models"/max-of-4-vocab-64-seed-$closer.safetensors "${common[@]}" \
    -s separable-relaxed -s separable-exact -s exact -o "$results"
certgen report "$results" --model "$(ls "$models"/max-of-4-* | head -n 1)" -o "$folder/report.html"
