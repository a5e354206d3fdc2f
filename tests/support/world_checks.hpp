#pragma once

#include <linformer/parallel/part.hpp>
#include <linformer/parallel/world.hpp>

#include "support/catch.hpp"

#include <vector>

/// What every process of any world must find: numbers are small and whole, so that sums are exact.
template <linformer::Scalar T, linformer::World W>
void check_collectives(W world) {
  using linformer::Index;
  const Index ranks = world.size();
  const auto value = [](Index rank, Index i) { return static_cast<T>((rank + 1) * 7 % 5 + i % 11); };
  for (const Index count : {Index{0}, Index{1}, ranks - 1, ranks, Index{7}, Index{100}}) {
    CAPTURE(count, ranks, world.rank());
    const auto here = [&] {
      std::vector<T> values;
      for (Index i = 0; i < count; ++i) values.push_back(value(world.rank(), i));
      return values;
    };
    std::vector<T> sums, maxima, gathered;
    for (Index i = 0; i < count; ++i) {
      T sum = 0, maximum = value(0, i);
      for (Index rank = 0; rank < ranks; ++rank) {
        sum += value(rank, i);
        maximum = std::max(maximum, value(rank, i));
      }
      sums.push_back(sum);
      maxima.push_back(maximum);
    }
    for (Index rank = 0; rank < ranks; ++rank) {
      const linformer::Part part = linformer::part_of_rank(count, rank, ranks);
      for (Index i = part.begin; i < part.end; ++i) gathered.push_back(value(rank, i));
    }

    std::vector<T> values = here();
    world.sum(std::span(values));
    CHECK(values == sums);
    values = here();
    world.maximum(std::span(values));
    CHECK(values == maxima);

    std::vector<T> first = here(), second = maxima;
    {
      auto one = world.start_sum(std::span(first));
      [[maybe_unused]] auto other = world.start_sum(std::span(second));  // waited for by its end
      one.wait();
      CHECK(first == sums);
    }
    for (T& each : second) each /= static_cast<T>(ranks);
    CHECK(second == maxima);

    values = here();
    world.reduce_scatter(std::span(values));
    const linformer::Part mine = linformer::part_of_rank(count, world.rank(), ranks);
    for (Index i = mine.begin; i < mine.end; ++i) {
      CHECK(values[static_cast<std::size_t>(i)] == sums[static_cast<std::size_t>(i)]);
    }
    values = here();
    world.all_gather(std::span(values));
    CHECK(values == gathered);
  }
}

/// Even and odd ranks as worlds of their own, ranked from the last to the first.
template <linformer::World W>
void check_split(W world) {
  using linformer::Index;
  const Index rank = world.rank(), ranks = world.size();
  W half = world.split(rank % 2, -rank);
  CHECK(half.size() == (ranks + 1 - rank % 2) / 2);
  CHECK(half.rank() == half.size() - 1 - rank / 2);
  double sum[] = {static_cast<double>(rank)};
  half.sum(std::span<double>(sum));
  double expected = 0;
  for (Index each = rank % 2; each < ranks; each += 2) expected += static_cast<double>(each);
  CHECK(sum[0] == expected);
  W equal = world.split(0, 0);  // equal keys: in the order of the ranks
  CHECK(equal.rank() == rank);
}
