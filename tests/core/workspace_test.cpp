#include <linformer/core/workspace.hpp>

#include "support/catch.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <new>
#include <vector>

using namespace linformer;

// The address sanitizer stops the program at requests that it deems too large, instead of letting them fail.
#if defined(__SANITIZE_ADDRESS__)
#define HUGE_REQUESTS_FAIL 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HUGE_REQUESTS_FAIL 0
#endif
#endif
#ifndef HUGE_REQUESTS_FAIL
#define HUGE_REQUESTS_FAIL 1
#endif

namespace {

bool is_aligned(const void* address) { return reinterpret_cast<std::uintptr_t>(address) % Workspace::alignment == 0; }

/// Takes scratch of several sizes, some of it in an inner scope, and returns where it lies.
std::vector<const float*> take_pattern(Workspace& workspace) {
  std::vector<const float*> places;
  const Workspace::Scope scope(workspace);
  places.push_back(workspace.matrix<float>(3, 5).data());
  {
    const Workspace::Scope inner(workspace);
    places.push_back(workspace.matrix<float>(40, 33).data());
  }
  places.push_back(workspace.matrix<float>(100, 70).data());
  places.push_back(workspace.matrix<float>(1, 1).data());
  return places;
}

}  // namespace

TEMPLATE_TEST_CASE("every row of scratch starts on a 64-byte boundary", "[workspace]", float, double) {
  Workspace workspace;
  const Workspace::Scope scope(workspace);
  for (const Index cols : {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 100}) {
    CAPTURE(cols);
    auto matrix = workspace.matrix<TestType>(5, cols);
    CHECK(matrix.rows() == 5);
    CHECK(matrix.cols() == cols);
    CHECK(matrix.innerStride() == 1);
    for (Index i = 0; i < matrix.rows(); ++i) CHECK(is_aligned(&matrix(i, 0)));
  }
}

TEST_CASE("scratch of one scope does not overlap", "[workspace]") {
  Workspace workspace;
  for (int round = 0; round < 2; ++round) {  // several blocks at first, then one
    const Workspace::Scope scope(workspace);
    std::vector<ScratchMatrix<float>> matrices;
    for (Index i = 0; i < 20; ++i) {
      matrices.push_back(workspace.matrix<float>(i, 3 * i + 1));
      matrices.back().setConstant(static_cast<float>(i));
    }
    for (Index i = 0; i < 20; ++i)
      CHECK((matrices[static_cast<std::size_t>(i)].array() == static_cast<float>(i)).all());
  }
}

TEST_CASE("a scope gives back what was taken in it and no more", "[workspace]") {
  Workspace workspace(1 << 16);
  const Workspace::Scope outer(workspace);
  auto kept = workspace.matrix<double>(4, 4);
  kept.setConstant(7);
  const double* inside = nullptr;
  {
    const Workspace::Scope inner(workspace);
    auto matrix = workspace.matrix<double>(8, 8);
    matrix.setConstant(-1);
    inside = matrix.data();
  }
  CHECK(workspace.matrix<double>(8, 8).data() == inside);
  CHECK((kept.array() == 7).all());
}

TEST_CASE("a workspace grows once and then serves the same pattern from one block", "[workspace]") {
  Workspace workspace;
  CHECK(workspace.capacity() == 0);
  take_pattern(workspace);
  const std::size_t capacity = workspace.capacity();
  // Rows of 5 and 1 floats fill one line of 64 bytes, of 33 three, of 70 five; the inner scope's room is used again.
  CHECK(capacity >= (3 + 100 * 5 + 1) * 64);
  const auto second = take_pattern(workspace);
  CHECK(workspace.capacity() == capacity);
  CHECK(take_pattern(workspace) == second);
  CHECK(workspace.capacity() == capacity);
  const std::less_equal<const float*> at_most;
  for (const float* place : second) {
    CHECK(at_most(second.front(), place));
    CHECK(at_most(place, second.front() + capacity / sizeof(float)));
  }
}

TEST_CASE("what is reserved at once is used without growing", "[workspace]") {
  Workspace workspace(std::size_t{1} << 16);
  CHECK(workspace.capacity() == std::size_t{1} << 16);
  const auto first = take_pattern(workspace);
  CHECK(take_pattern(workspace) == first);
  CHECK(workspace.capacity() == std::size_t{1} << 16);
}

TEST_CASE("scratch may be empty", "[workspace]") {
  Workspace workspace;
  const Workspace::Scope scope(workspace);
  CHECK(workspace.matrix<float>(0, 0).size() == 0);
  CHECK(workspace.matrix<float>(0, 100).cols() == 100);
  CHECK(workspace.matrix<float>(100, 0).rows() == 100);
  auto matrix = workspace.matrix<float>(2, 2);
  matrix.setOnes();
  CHECK(matrix.sum() == 4);
}

TEST_CASE("a workspace keeps one object of each type between calls", "[workspace]") {
  Workspace workspace;
  auto& numbers = workspace.kept<std::vector<int>>();
  CHECK(numbers.empty());
  numbers.assign(100, 3);
  const int* memory = numbers.data();
  workspace.kept<std::vector<double>>().assign(2, 0.5);
  workspace.kept<Matrix<float>>().setOnes(3, 3);
  CHECK(&workspace.kept<std::vector<int>>() == &numbers);
  CHECK(workspace.kept<std::vector<int>>().data() == memory);
  CHECK(numbers.size() == 100);
  CHECK(workspace.kept<std::vector<double>>().size() == 2);
  CHECK(workspace.kept<Matrix<float>>().sum() == 9);
  Workspace other;
  CHECK(&other.kept<std::vector<int>>() != &numbers);
}

TEST_CASE("workers have scratch memory of their own", "[workspace]") {
  Workspace workspace;
  workspace.reserve_workers(2);
  Workspace& first = workspace.worker(0);
  CHECK(&first != &workspace.worker(1));
  workspace.reserve_workers(1);
  workspace.reserve_workers(5);
  CHECK(&workspace.worker(0) == &first);
  CHECK(workspace.capacity() == 0);
  {
    const Workspace::Scope scope(workspace.worker(4));
    static_cast<void>(workspace.worker(4).matrix<double>(2, 8));
  }
  CHECK(workspace.capacity() == 128);
  CHECK(workspace.worker(4).capacity() == 128);
  CHECK(workspace.worker(0).capacity() == 0);
}

TEST_CASE("a moved workspace keeps its memory", "[workspace]") {
  Workspace workspace;
  take_pattern(workspace);
  const auto places = take_pattern(workspace);
  Workspace moved = std::move(workspace);
  CHECK(take_pattern(moved) == places);
}

TEST_CASE("scratch that cannot be addressed is an error and leaves the workspace usable", "[workspace]") {
  Workspace workspace;
  take_pattern(workspace);
  const auto places = take_pattern(workspace);
  const Index half = Index{1} << 32;
  for (const Index cols : {half, Index{1} << 61}) {
    const Workspace::Scope scope(workspace);
    try {
      static_cast<void>(workspace.matrix<double>(half, cols));
      FAIL_CHECK("nothing was thrown");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::size_overflow);
      CHECK(error.tensor() == "workspace");
    }
  }
  CHECK(take_pattern(workspace) == places);
}

TEST_CASE("columns near the largest index are an error too", "[workspace]") {
  Workspace workspace;
  CHECK_THROWS_AS(workspace.matrix<float>(1, std::numeric_limits<Index>::max()), Error);
}

#if HUGE_REQUESTS_FAIL
TEST_CASE("scratch that the machine does not have is a bad_alloc and leaves the workspace usable", "[workspace]") {
  Workspace workspace;
  take_pattern(workspace);
  const auto places = take_pattern(workspace);
  const std::size_t capacity = workspace.capacity();
  {
    const Workspace::Scope scope(workspace);
    auto before = workspace.matrix<float>(10, 10);
    before.setConstant(5);
    // 2^60 bytes: more than any address space, fewer than a size_t.
    CHECK_THROWS_AS(workspace.matrix<float>(Index{1} << 29, Index{1} << 29), std::bad_alloc);
    auto after = workspace.matrix<float>(10, 10);
    after.setConstant(6);
    CHECK((before.array() == 5).all());
  }
  CHECK(workspace.capacity() >= capacity);
  const auto again = take_pattern(workspace);
  CHECK(take_pattern(workspace) == again);
  CHECK_THROWS_AS(Workspace(std::numeric_limits<std::size_t>::max() / 4), std::bad_alloc);
}
#endif
