#include "../../examples/support/shards.hpp"

#include "support/files.hpp"

#include <random>

using linformer_test::error_of;
using linformer_test::TemporaryFolder;

namespace {

std::uintmax_t load_of(const std::vector<Shard>& shards) {
  std::uintmax_t bytes = 0;
  for (const Shard& shard : shards) bytes += shard.size();
  return bytes;
}

}  // namespace

TEST_CASE("every shard has one process, and no process more than Graham's bound", "[shards]") {
  std::mt19937 random(1);
  for (const linformer::Index ranks : {1, 2, 3, 7, 40}) {
    std::vector<Shard> shards;
    std::uintmax_t total = 0, largest = 0;
    for (int i = 0; i < 30; ++i) {
      const std::uintmax_t bytes = random() % 1000 * (random() % 5 == 0 ? 20 : 1);
      shards.push_back({std::to_string(i), {}, bytes});
      total += bytes, largest = std::max(largest, bytes);
    }
    std::map<std::string, int> seen;
    for (linformer::Index rank = 0; rank < ranks; ++rank) {
      const std::vector<Shard> mine = shards_of_rank(shards, rank, ranks);
      for (const Shard& shard : mine) ++seen[shard.input];
      CHECK(std::is_sorted(mine.begin(), mine.end(), [](auto& a, auto& b) { return a.bytes > b.bytes; }));
      // Whatever ends last began when all were busy: 1/ranks of the rest, and itself. Empty shards count one byte.
      CHECK(load_of(mine) <= total / static_cast<std::uintmax_t>(ranks) + largest + 30);
      if (ranks == 40) CHECK(mine.size() <= 1);
    }
    CHECK(seen.size() == shards.size());
    CHECK(std::all_of(seen.begin(), seen.end(), [](const auto& shard) { return shard.second == 1; }));
  }
}

TEST_CASE("the largest shards are shared out first", "[shards]") {
  // 7 | 6 | then 5 to the second: 11; 4 to the first: 11; 3 to the first, which is named first.
  const std::vector<Shard> shards{{"a", {}, 3}, {"b", {}, 7}, {"c", {}, 5}, {"d", {}, 6}, {"e", {}, 4}};
  std::string first, second;
  for (const Shard& shard : shards_of_rank(shards, 0, 2)) first += shard.input;
  for (const Shard& shard : shards_of_rank(shards, 1, 2)) second += shard.input;
  CHECK(first == "bea");
  CHECK(second == "dc");
}

TEST_CASE("shards are found by pattern, once each, sorted by name", "[shards]") {
  const TemporaryFolder folder;
  const std::string b = folder.write("in/b.jsonl", "12345"), a = folder.write("in/a.jsonl", "");
  static_cast<void>(folder.write("in/c.txt", ""));
  std::filesystem::create_symlink("nowhere", folder.path() / "in/d.jsonl");
  const std::filesystem::path out = folder.path() / "out";
  const std::string pattern = (folder.path() / "in/*.jsonl").string();
  const auto shards = find_shards(std::vector{b, pattern}, out);
  REQUIRE(shards.size() == 3);
  CHECK(shards[0].input == a);
  CHECK(shards[1].input == b);
  CHECK(shards[1].bytes == 5);
  CHECK(shards[1].output == (out / "b.jsonl").string());
  CHECK_FALSE(shards[2].bytes);  // a link to nowhere is a shard that cannot be read, not one that is left out

  const auto missing = error_of([&] { static_cast<void>(find_shards(std::vector{b + "x"}, out)); });
  CHECK(missing.code() == linformer::ErrorCode::file_access);
  CHECK(missing.tensor() == b + "x");
  const auto same_folder = error_of([&] { static_cast<void>(find_shards(std::vector{b}, folder.path() / "in")); });
  CHECK(same_folder.code() == linformer::ErrorCode::invalid_configuration);
  for (const char* name : {"two/b.jsonl", "two/b.jsonl.malformed", "two/manifest.json", "two/.linformer.lock"}) {
    const std::string other = folder.write(name, "");
    const auto twice = error_of([&] { static_cast<void>(find_shards(std::vector{b, other}, out)); });
    CHECK(twice.code() == linformer::ErrorCode::invalid_configuration);
    CHECK(twice.tensor() == (out / other.substr(other.rfind('/') + 1)).string());
  }
}
