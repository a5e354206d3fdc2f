#include <linformer/kernels/softmax.hpp>

#include "kernels/reference.hpp"
#include "support/catch.hpp"
#include "support/isa.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

using namespace linformer;
using reference::Numbers;

namespace {

template <class T>
constexpr T infinity = std::numeric_limits<T>::infinity();

/// The four matrices that absorb_scores works on, in scratch memory.
template <Scalar T>
struct State {
  Workspace workspace{};
  ScratchMatrix<T> scores, maxima, sums, kept;

  State(Index keys, Index queries)
      : scores(workspace.matrix<T>(keys, queries)),
        maxima(workspace.matrix<T>(1, queries)),
        sums(workspace.matrix<T>(1, queries)),
        kept(workspace.matrix<T>(1, queries)) {
    maxima.setConstant(-infinity<T>);
    sums.setZero();
  }
  void absorb(Isa isa) { absorb_scores<T>(isa, scores, maxima, sums, kept); }
};

/// |actual − e^x| in units of the last place of e^x. What lies below the smallest normal number may be anything there.
template <Scalar T>
long double ulps_of_exp(T x, T actual) {
  const long double exact = std::exp(static_cast<long double>(x)), smallest = std::numeric_limits<T>::min();
  const auto weight = static_cast<long double>(actual);
  if (exact < 1.01L * smallest) return weight >= 0 && weight <= 1.02L * smallest ? 0 : infinity<long double>;
  return std::abs(weight - exact) /
         std::ldexp(static_cast<long double>(std::numeric_limits<T>::epsilon()), std::ilogb(exact));
}

/// |actual − exact| ≤ γ_roundings·exact, or both as good as nothing.
template <Scalar T>
bool agree(T actual, long double exact, Index roundings) {
  return std::abs(static_cast<long double>(actual) - exact) <=
         reference::gamma<T>(roundings) * exact + static_cast<long double>(std::numeric_limits<T>::min());
}

}  // namespace

TEMPLATE_TEST_CASE("weights are within two units in the last place of exp", "[softmax]", float, double) {
  using T = TestType;
  const T last = std::is_same_v<T, float> ? T{110} : T{760};
  constexpr Index rounds = 5, keys = 500, queries = 37;
  for (const Isa isa : supported_isas()) {
    long double worst = 0;
    bool top_is_one = true;
    for (Index round = 0; round < rounds; ++round) {
      State<T> state(keys, queries);
      for (Index j = 0; j < queries; ++j) {
        state.scores(0, j) = T{0};
        for (Index i = 1; i < keys; ++i) {  // differences of a column are exact, as its maximum is 0
          const T step = static_cast<T>((round * queries + j) * keys + i) / static_cast<T>(rounds * queries * keys);
          state.scores(i, j) = -last * step * step;
        }
      }
      const Matrix<T> scores = state.scores;
      state.absorb(isa);
      for (Index i = 0; i < keys; ++i) {
        for (Index j = 0; j < queries; ++j) worst = std::max(worst, ulps_of_exp<T>(scores(i, j), state.scores(i, j)));
      }
      top_is_one = top_is_one && (state.scores.row(0).array() == T{1}).all() && state.maxima.isZero(0);
    }
    CAPTURE(static_cast<int>(isa), static_cast<double>(worst));
    CHECK(worst <= 2);
    CHECK(top_is_one);
  }
}

// With scores within R of each other, rounding a difference is an error of at most R·u in the argument of exp, which
// itself errs by 2 ULP ≤ 4u: R + 4 roundings for a weight or a factor. Three tiles of at most 31 keys: 3·32 additions,
// three rescalings of one product and one factor each.
TEMPLATE_TEST_CASE("running maxima, sums and factors are those of all scores", "[softmax]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    for (const Index keys : {1, 2, 3, 4, 5, 8, 31}) {
      for (const Index queries : {1, 7, 8, 16, 17, 50}) {
        constexpr Index range = 40, factor_roundings = range + 4, roundings = 4 * factor_roundings + 3 * 32 + 3;
        State<T> state(keys, queries);
        std::vector<long double> maxima(static_cast<std::size_t>(queries), -infinity<long double>);
        std::vector<long double> sums(static_cast<std::size_t>(queries), 0);
        bool right = true;
        for (const Index tile : {0, 1, 2}) {
          const Matrix<T> scores =
              Numbers(static_cast<std::uint64_t>(100 * keys + tile)).matrix<T>(keys, queries, tile == 1 ? 20 : 5);
          state.scores = scores;
          state.absorb(isa);
          for (Index j = 0; j < queries; ++j) {
            long double& maximum = maxima[static_cast<std::size_t>(j)];
            long double& sum = sums[static_cast<std::size_t>(j)];
            const long double before = maximum;
            for (Index i = 0; i < keys; ++i) maximum = std::max(maximum, static_cast<long double>(scores(i, j)));
            const long double kept = std::exp(before - maximum);
            sum *= kept;
            for (Index i = 0; i < keys; ++i) {
              const long double weight = std::exp(static_cast<long double>(scores(i, j)) - maximum);
              right = right && agree<T>(state.scores(i, j), weight, factor_roundings);
              sum += weight;
            }
            right = right && static_cast<long double>(state.maxima(0, j)) == maximum &&
                    agree<T>(state.kept(0, j), kept, factor_roundings) && agree<T>(state.sums(0, j), sum, roundings);
          }
        }
        CAPTURE(static_cast<int>(isa), keys, queries);
        CHECK(right);
      }
    }
  }
}

TEMPLATE_TEST_CASE("a common summand changes nothing, however large", "[softmax]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    State<T> plain(19, 3);
    for (Index i = 0; i < 19; ++i) plain.scores.row(i).setConstant(static_cast<T>(i % 7) / 4);  // added exactly below
    const Matrix<T> scores = plain.scores;
    plain.absorb(isa);
    for (const T summand : {T{10000}, T{-10000}, T{131072}}) {
      State<T> shifted(19, 3);
      shifted.scores = scores.array() + summand;
      shifted.absorb(isa);
      CAPTURE(static_cast<int>(isa), summand);
      CHECK(shifted.scores == plain.scores);
      CHECK(shifted.sums == plain.sums);
      CHECK((shifted.maxima.array() == plain.maxima.array() + summand).all());
    }
  }
}

TEMPLATE_TEST_CASE("scores of minus infinity get no weight", "[softmax]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    for (const Index period : {1, 2, 3, 5}) {
      State<T> state(20, 9);
      state.scores = Numbers(7).matrix<T>(20, 9, 5);
      for (Index i = 0; i < 20; i += period) state.scores.row(i).setConstant(-infinity<T>);
      state.absorb(isa);
      CAPTURE(static_cast<int>(isa), period);
      for (Index i = 0; i < 20; i += period) CHECK(state.scores.row(i).maxCoeff() <= std::numeric_limits<T>::min());
      CHECK(state.scores.minCoeff() >= 0);
      if (period == 1) {
        CHECK(state.sums.maxCoeff() <= 20 * std::numeric_limits<T>::min());
        CHECK((state.maxima.array() == -infinity<T>).all());
        state.scores.setConstant(T{3});  // the first keys that weigh anything
        state.absorb(isa);
        CHECK((state.sums.array() == T{20}).all());
        CHECK(state.kept.maxCoeff() <= std::numeric_limits<T>::min());
      } else {
        CHECK(state.sums.minCoeff() >= 1);
      }
    }
  }
}

TEMPLATE_TEST_CASE("a NaN or an infinite maximum makes its query NaN and no other", "[softmax]", float, double) {
  using T = TestType;
  for (const Isa isa : supported_isas()) {
    for (const Index keys : {1, 2, 5, 9}) {
      const Matrix<T> scores = Numbers(6).matrix<T>(keys, 20, 3);
      State<T> expected(keys, 20);
      expected.scores = scores;
      expected.absorb(isa);
      for (Index key = 0; key < keys; ++key) {
        for (const T bad : {std::numeric_limits<T>::quiet_NaN(), infinity<T>}) {
          CAPTURE(static_cast<int>(isa), keys, key, bad);
          State<T> state(keys, 20);
          state.scores = scores;
          state.scores(key, 11) = bad;
          state.absorb(isa);
          CHECK(std::isnan(state.sums(0, 11)));
          CHECK(std::isnan(state.scores(key, 11)));
          state.sums(0, 11) = expected.sums(0, 11);
          CHECK(state.sums == expected.sums);
          state.scores.col(11) = expected.scores.col(11);
          CHECK(state.scores == expected.scores);

          // and stays NaN, whatever follows
          State<T> later(keys, 20);
          later.scores = scores;
          later.scores(key, 11) = bad;
          later.absorb(isa);
          later.scores = scores;
          later.absorb(isa);
          CHECK(std::isnan(later.sums(0, 11)));
        }
      }
    }
  }
}

TEST_CASE("no keys leave maxima and sums as they are", "[softmax]") {
  for (const Isa isa : supported_isas()) {
    State<float> state(0, 5);
    state.maxima.setConstant(2);
    state.sums.setConstant(3);
    state.absorb(isa);
    CHECK((state.maxima.array() == 2).all());
    CHECK((state.sums.array() == 3).all());
    CHECK((state.kept.array() == 1).all());
  }
}
