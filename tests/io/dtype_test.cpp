#include <linformer/io/dtype.hpp>

#include "support/catch.hpp"

#include <set>

using namespace linformer;

TEST_CASE("a dtype has the name and size of the format", "[io]") {
  struct Row {
    Dtype dtype;
    const char* name;
    std::size_t size;
  };
  // The table of the format's documentation.
  const Row rows[] = {{Dtype::bool8, "BOOL", 1}, {Dtype::u8, "U8", 1},           {Dtype::i8, "I8", 1},
                      {Dtype::i16, "I16", 2},    {Dtype::u16, "U16", 2},         {Dtype::f16, "F16", 2},
                      {Dtype::bf16, "BF16", 2},  {Dtype::i32, "I32", 4},         {Dtype::u32, "U32", 4},
                      {Dtype::f32, "F32", 4},    {Dtype::f64, "F64", 8},         {Dtype::i64, "I64", 8},
                      {Dtype::u64, "U64", 8},    {Dtype::f8_e4m3, "F8_E4M3", 1}, {Dtype::f8_e5m2, "F8_E5M2", 1}};
  std::set<Dtype> seen;
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(dtype_name(row.dtype) == row.name);
    CHECK(dtype_size(row.dtype) == row.size);
    CHECK(dtype_of_name(row.name) == row.dtype);
    seen.insert(row.dtype);
  }
  CHECK(seen.size() == detail::dtype_facts.size());
}

TEST_CASE("another name is no dtype", "[io]") {
  for (const char* name : {"", "f32", "F3", "F321", "F128", "C64", " F32"})
    CHECK_FALSE(dtype_of_name(name).has_value());
}

TEST_CASE("our scalars have their dtypes", "[io]") {
  STATIC_REQUIRE(dtype_of<float> == Dtype::f32);
  STATIC_REQUIRE(dtype_of<double> == Dtype::f64);
}
