#!/usr/bin/env python3
"""Prints include/linformer/core/normal_table.hpp, the knots of the normal quantile that standard_normal interpolates.

    python3 scripts/make_normal_table.py > include/linformer/core/normal_table.hpp

Needs only the standard library of Python 3.8 or newer. NormalDist gives each knot to about 15 digits and one Newton
step in 50-digit decimal arithmetic the rest, so no knot depends on a platform's libm.
"""

import textwrap
from decimal import Decimal, getcontext
from statistics import NormalDist

UNIT_BITS = 28  # knots are integers in units of 2^-28
SEGMENT_BITS = 7  # an octave of p is cut into 2^7 equal segments
OCTAVES = 32  # p runs from 2^-33 to 2^-1

SEGMENTS = 1 << SEGMENT_BITS
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def density(z):
    return (-z * z / 2).exp() / (2 * PI).sqrt()


def upper_tail(z):
    """1 - Phi(z) = 1/2 - density(z) * (z + z^3/3 + z^5/(3*5) + ...), a series of positive terms."""
    total, term, odd = Decimal(0), z, 1
    while term > Decimal("1e-45"):
        total += term
        odd += 2
        term *= z * z / odd
    return Decimal("0.5") - density(z) * total


def quantile(p):
    """z with 1 - Phi(z) = p, for p a double in (0, 1/2)."""
    z = Decimal(-NormalDist().inv_cdf(p))
    return z + (upper_tail(z) - Decimal(p)) / density(z)


def knots():
    """The quantile at the left end of every segment, p rising from 2^-33, then at p = 1/2."""
    for octave in range(OCTAVES):
        for segment in range(SEGMENTS):
            p = (1 + segment / SEGMENTS) * 2.0 ** (octave - OCTAVES - 1)
            yield int((quantile(p) * 2**UNIT_BITS).to_integral_value())
    yield 0


def main():
    getcontext().prec = 50
    values = list(knots())
    body = textwrap.fill(", ".join(map(str, values)), width=120, initial_indent="    ", subsequent_indent="    ")
    print(f"""\
#pragma once

// Made by scripts/make_normal_table.py: change the script, not this file.

#include <linformer/core/abi.hpp>

#include <array>
#include <cstdint>

namespace linformer::inline LINFORMER_ABI {{

namespace detail {{

inline constexpr int normal_unit_bits = {UNIT_BITS};
inline constexpr int normal_segment_bits = {SEGMENT_BITS};

/// Knots of the normal quantile, falling from 6.34 to 0: element {SEGMENTS} * octave + segment is -Phi^-1(p), to the
/// nearest 2^-{UNIT_BITS}, at p = 2^(octave - {OCTAVES + 1}) * (1 + segment / {SEGMENTS}); the last, p = 1/2.
// clang-format off
inline constexpr std::array<std::int32_t, {len(values)}> normal_knots = {{
{body}}};
// clang-format on

}}  // namespace detail

}}  // namespace linformer::inline LINFORMER_ABI""")


if __name__ == "__main__":
    main()
