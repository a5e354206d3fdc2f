#include "../../examples/support/output_folder.hpp"

#include "support/files.hpp"

using linformer::ErrorCode;
using linformer_test::error_of;
using linformer_test::TemporaryFolder;

namespace {

using Json = nlohmann::json;

void visit_folder(const std::filesystem::path& path, const Json& manifest) {
  const OutputFolder folder(path, manifest);
}

}  // namespace

TEST_CASE("a folder of results knows what they depend on", "[output_folder]") {
  const TemporaryFolder folder;
  const std::filesystem::path out = folder.path() / "out";
  const Json manifest = {{"model", 1}, {"shards", {{"a", 10}, {"b", nullptr}}}};
  visit_folder(out, manifest);
  visit_folder(out, manifest);
  const auto refused = [&](const Json& other) {
    const auto error = error_of([&] { visit_folder(out, other); });
    CHECK(error.code() == ErrorCode::invalid_configuration);
    CHECK(error.tensor() == (out / "manifest.json").string());
    return error.expected() + " / " + error.actual();
  };
  CHECK(refused({{"model", 2}, {"shards", manifest["shards"]}}) == "results of this run's model, 2 / 1");
  CHECK(refused({{"model", 1}, {"shards", {{"a", 11}, {"b", 3}}}}) == "results of this run's shards: a, 11 / 10");
  CHECK(refused({{"model", 1}, {"shards", {{"a", 10}}}}) == "results of this run's shards: b, none / null");
  CHECK(refused({{"model", 1}, {"shards", {{"a", 10}, {"b", 3}, {"c", 1}}}}) ==
        "results of this run's shards: c, 1 / none");
  CHECK(linformer::read_json(out / "manifest.json") == manifest);

  // What was not known is taken up; what is not known any more stays.
  visit_folder(out, {{"model", 1}, {"shards", {{"a", nullptr}, {"b", 3}}}});
  CHECK(refused({{"model", 1}, {"shards", {{"a", 11}, {"b", 3}}}}) == "results of this run's shards: a, 11 / 10");
  CHECK(refused({{"model", 1}, {"shards", {{"a", 10}, {"b", 4}}}}) == "results of this run's shards: b, 4 / 3");
}

TEST_CASE("a folder of results is one run's at a time, and nobody else's", "[output_folder]") {
  const TemporaryFolder folder;
  {
    const OutputFolder first(folder.path(), {{"a", 1}});
    const auto error = error_of([&] { visit_folder(folder.path(), {{"a", 1}}); });
    CHECK(error.code() == ErrorCode::file_access);
    CHECK(error.actual() == "one that another run has locked");
  }
  static_cast<void>(folder.write(".linformer.1.0.tmp", "left behind"));
  visit_folder(folder.path(), {{"a", 1}});
  CHECK_FALSE(std::filesystem::exists(folder.path() / ".linformer.1.0.tmp"));
  std::filesystem::remove(folder.path() / "manifest.json");
  visit_folder(folder.path(), {{"a", 2}});  // but for the lock, it is empty
  static_cast<void>(folder.write("other/file", ""));
  CHECK(error_of([&] {
          visit_folder(folder.path() / "other", {{"a", 1}});
        }).code() == ErrorCode::invalid_configuration);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "other/.linformer.lock"));
}
