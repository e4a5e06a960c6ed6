// Nodes that are killed, over and over, with programs that use them: nothing of them stays, and the next ones
// work.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "fixture.hpp"
#include "many_runs.hpp"
#include "support/belongings.hpp"
#include "support/random.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Processes whose command has these words.
std::size_t processes_with(const std::string& words) {
  std::size_t found = 0;
  std::error_code gone;
  for (const auto& one : std::filesystem::directory_iterator("/proc", gone)) {
    std::ifstream from(one.path() / "cmdline");
    std::string command((std::istreambuf_iterator<char>(from)), {});
    std::replace(command.begin(), command.end(), '\0', ' ');
    if (has(command, words)) ++found;
  }
  return found;
}

}  // namespace

TEST_CASE("nodes are killed under their programs, and nothing stays but the name of their socket") {
  const TemporaryFolder folder, temporary;
  const auto where = "unix:" + (folder / "socket");
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(temporary.path()), {}); };
  const auto before = Belongings::now();
  ThreadCounts threads;
  std::uint64_t kills = 0;
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(2); ++seed) {
    CAPTURE(seed);
    {
      // Where the last one was, whose socket is left.
      NodeProcess node(where, "--chips 2", {"env", "TMPDIR=" + temporary.path().string()});
      const auto chips = "troupe-chip " + std::to_string(node.process());
      ManyRuns runs(tests::built("bin/troupe"), " --runs 100000 --rejoin 0 --hosts " + where);
      REQUIRE_MESSAGE(runs.has_begun(), runs.output);
      CHECK(processes_with(chips) != 0);
      CHECK(node.end(SIGKILL) == 128 + SIGKILL);
      ++kills;
      CHECK_MESSAGE(runs.end() == 1, runs.output);
      CHECK_MESSAGE(has(runs.output, where), runs.output);
      // They end with it, a moment later.
      while (processes_with(chips) != 0) {
      }
    }
    CHECK(files() == 0);
    const auto after = before.wait();
    REQUIRE_MESSAGE(after.is_as(before), "had " << before.text() << "; has " << after.text());
    threads.add(after);
  }
  const NodeProcess node(where, "--chips 2");
  const auto last = troupe_command("run hello --hosts " + where);
  CHECK_MESSAGE(last.exit == 0, last.output);
  CHECK_MESSAGE(!threads.have_risen(), threads.text());
  MESSAGE(kills << " nodes were killed");
}
