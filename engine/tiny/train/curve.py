#!/usr/bin/env python3
"""Draws the training log as SVG: curve.py log.csv OUT.svg"""
import csv
import math
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 60, 60, 40, 50
BLUE, GREY, GREEN = "#1f5fa8", "#b9bec6", "#3a8a4d"


def read(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def line(points, colour, width=1.5, dash=""):
    return f'<polyline fill="none" stroke="{colour}" stroke-width="{width}"{dash} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def label(x, y, s, anchor="middle", colour="#222"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{s}</text>'


def draw(rows):
    tokens = [float(r["tokens"]) / 1e6 for r in rows]
    most = max(tokens)
    low = math.floor(math.log10(min(float(r[k]) for r in rows for k in ("loss", "val"))))
    high = math.ceil(math.log10(max(float(r[k]) for r in rows for k in ("loss", "val"))))
    x = lambda t: LEFT + t / most * (WIDTH - LEFT - RIGHT)
    y = lambda v: TOP + (high - math.log10(float(v))) / (high - low) * (HEIGHT - TOP - BOTTOM)
    out = []
    for e in range(low, high + 1):
        out += [line([(LEFT, y(10.0 ** e)), (WIDTH - RIGHT, y(10.0 ** e))], "#e5e7ea", 1), label(LEFT - 8, y(10.0 ** e) + 4, f"{10.0 ** e:g}", "end")]
    step = 10 ** math.floor(math.log10(most)) / 2
    for i in range(int(most / step) + 1):
        out += [line([(x(i * step), HEIGHT - BOTTOM), (x(i * step), HEIGHT - BOTTOM + 5)], "#222", 1), label(x(i * step), HEIGHT - BOTTOM + 20, f"{i * step:g}")]
    out.append(line([(LEFT, TOP), (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)], "#222", 1))
    out.append(line([(x(t), TOP + (1 - float(r["lr"])) * (HEIGHT - TOP - BOTTOM)) for t, r in zip(tokens, rows)], GREEN, 1, ' stroke-dasharray="4 3"'))
    out.append(line([(x(t), y(r["loss"])) for t, r in zip(tokens, rows)], GREY, 1))
    out.append(line([(x(t), y(r["val"])) for t, r in zip(tokens, rows)], BLUE, 2))
    out.append(label(WIDTH / 2, HEIGHT - 8, "million tokens"))
    key = [("validation loss", BLUE), ("loss of one training step", GREY), ("learning rate, linear from 0 to 1", GREEN)]
    for i, (s, colour) in enumerate(key):
        out.append(line([(LEFT + 20 + 220 * i, 20), (LEFT + 44 + 220 * i, 20)], colour, 2))
        out.append(label(LEFT + 50 + 220 * i, 24, s, "start"))
    return out


def main(source, target):
    rows = [r for r in read(source) if r["phase"] == "trunk"]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">'
    with open(target, "w") as f:
        f.write("\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', *draw(rows), "</svg>"]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
