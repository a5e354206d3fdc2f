// Catch2's main among several processes: the first that fails ends all.
#define CATCH_CONFIG_RUNNER
#include <linformer/mpi/environment.hpp>

#include "support/catch.hpp"

int main(int argc, char** argv) {
  const linformer::MpiEnvironment environment(argc, argv);
  return environment.run([&] {
    Catch::Session session;
    int result = session.applyCommandLine(argc, argv);
    if (result == 0) {
      session.configData().abortAfter = 1;  // what comes after would wait for the others
      result = session.run();
    }
    if (result != 0) environment.abort("a test failed", result);
    return result;
  });
}
