# Drafting never changes a sampled text.
for seed in 1 2 3; do
    for draft in "--draft 0 --copy 0" "--draft 8 --copy 0" "--draft 0 --copy 8" "--draft 3 --copy 8"; do
        "$QAGENT" complete -p 'x = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3,' -n 60 --temp 2 --seed $seed \
            --kernels ref $draft 2>/dev/null >"$seed.${draft// /}"
    done
    cat "$seed".* | wc -c | grep -qv '^0$' || echo "no text for seed $seed"
    for f in "$seed".*; do cmp "$seed.--draft0--copy0" "$f"; done
done
cmp -s 1.--draft0--copy0 2.--draft0--copy0 && echo "seeds change nothing"
echo done
