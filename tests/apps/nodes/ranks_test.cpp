// Nodes that find each other in a folder: what else may lie in it, and what is left in it.
#include "nodes/ranks.hpp"

#include <doctest/doctest.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>

#include "apps/troupe_process.hpp"
#include "errc.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::test;
using apps::Announcement;

namespace {

using Addresses = std::vector<std::string>;

struct Folder : TemporaryFolder {
  /// As a node does it.
  void announce(int rank, const std::string& text) const {
    std::ofstream(*this / "fresh") << text;
    std::filesystem::rename(*this / "fresh", *this / ("node." + std::to_string(rank)));
  }
  /// `then`: happens once it is known that not all are there.
  Result<Addresses> found(const std::set<std::string>& alive, const std::function<void()>& then) const {
    const auto asks = [&](const std::string& address, std::chrono::nanoseconds) -> Result<void> {
      if (alive.contains(address)) return {};
      return Error(platform::Errc::system, "nobody listens");
    };
    return apps::hosts_found({"@" + path().string()}, asks, [&](const std::string& text) {
      waited_for = text;
      then();
    });
  }
  mutable std::string waited_for;
};

// NOLINTBEGIN(concurrency-mt-unsafe): no other thread is there
/// The variables of one launcher and of no other, as long as it lives.
struct Launched {
  explicit Launched(const std::map<std::string, std::string>& variables) {
    for (const char* name :
         {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_RANK",
          "PMI_SIZE", "PMI_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"}) {
      if (const char* const value = std::getenv(name)) before_[name] = value;
      ::unsetenv(name);
    }
    for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
    set_ = variables;
  }
  ~Launched() {
    for (const auto& [name, value] : set_) ::unsetenv(name.c_str());
    for (const auto& [name, value] : before_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  Launched(const Launched&) = delete;
  Launched& operator=(const Launched&) = delete;

 private:
  std::map<std::string, std::string> before_, set_;
};
// NOLINTEND(concurrency-mt-unsafe)

/// "1 of 4, 1": the number, of how many, and the number on its machine.
std::string rank_with(const std::map<std::string, std::string>& variables) {
  const Launched launched(variables);
  const auto rank = apps::rank_of_launcher();
  if (!rank) return "none";
  return std::to_string(rank->number) + " of " + std::to_string(rank->of) + ", " +
         std::to_string(rank->on_machine);
}

}  // namespace

TEST_CASE("a node's number on its machine is the one that its launcher says") {
  CHECK(rank_with({}) == "none");
  CHECK(rank_with({{"OMPI_COMM_WORLD_RANK", "3"},
                   {"OMPI_COMM_WORLD_SIZE", "4"},
                   {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}}) == "3 of 4, 1");
  CHECK(rank_with({{"SLURM_PROCID", "3"}, {"SLURM_NTASKS", "4"}, {"SLURM_LOCALID", "1"}}) == "3 of 4, 1");
  CHECK(rank_with({{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "1"}}) == "3 of 4, 1");
  CHECK(rank_with({{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}, {"PMI_LOCAL_RANK", "1"}}) == "3 of 4, 1");
  CHECK(rank_with({{"PMI_RANK", "3"}, {"PMI_SIZE", "4"}}) == "3 of 4, 0");
  // Slurm's own PMI-2 sets the first two, and says the third in its own words.
  CHECK(rank_with({{"PMI_RANK", "3"},
                   {"PMI_SIZE", "4"},
                   {"SLURM_PROCID", "3"},
                   {"SLURM_NTASKS", "4"},
                   {"SLURM_LOCALID", "1"}}) == "3 of 4, 1");
}

TEST_CASE("what a job says of itself is not believed of a rank that another launcher has started in it") {
  CHECK(rank_with({{"PMI_RANK", "3"},
                   {"PMI_SIZE", "4"},
                   {"SLURM_PROCID", "0"},
                   {"SLURM_NTASKS", "4"},
                   {"SLURM_LOCALID", "1"}}) == "3 of 4, 0");
  CHECK(rank_with({{"PMI_RANK", "0"},
                   {"PMI_SIZE", "4"},
                   {"SLURM_PROCID", "0"},
                   {"SLURM_NTASKS", "2"},
                   {"SLURM_LOCALID", "1"}}) == "0 of 4, 0");
  CHECK(rank_with({{"PMI_RANK", "3"},
                   {"PMI_SIZE", "4"},
                   {"MPI_LOCALRANKID", "2"},
                   {"SLURM_PROCID", "3"},
                   {"SLURM_NTASKS", "4"},
                   {"SLURM_LOCALID", "1"}}) == "3 of 4, 2");
  CHECK(rank_with({{"OMPI_COMM_WORLD_RANK", "1"},
                   {"OMPI_COMM_WORLD_SIZE", "2"},
                   {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                   {"SLURM_PROCID", "3"},
                   {"SLURM_NTASKS", "4"},
                   {"SLURM_LOCALID", "1"}}) == "1 of 2, 0");
}

TEST_CASE("what killed nodes have left is waited for until it is written over") {
  const Folder folder;
  folder.announce(0, "2 host:1 .\n");
  folder.announce(1, "2 host:2 .\n");
  const auto found = folder.found({"host:3", "host:4"}, [&] {
    folder.announce(1, "2 host:4 .\n");
    folder.announce(0, "2 host:3 .\n");
  });
  CHECK(found.value() == Addresses{"host:3", "host:4"});
  CHECK_MESSAGE(has(folder.waited_for, "rank 0 (nobody listens)"), folder.waited_for);
}

TEST_CASE("an address that one node has announced after another one was killed is that of one node") {
  const Folder folder;
  folder.announce(0, "2 host:1 .\n");
  folder.announce(1, "2 host:1 .\n");
  const auto found = folder.found({"host:1", "host:2"}, [&] { folder.announce(1, "2 host:2 .\n"); });
  CHECK(found.value() == Addresses{"host:1", "host:2"});
}

TEST_CASE("a node that has answered, and was killed while others were waited for, is waited for again") {
  const Folder folder;
  folder.announce(0, "2 host:1 .\n");
  std::map<std::string, int> asked;
  const auto asks = [&](const std::string& address, std::chrono::nanoseconds patience) -> Result<void> {
    CHECK(patience > std::chrono::nanoseconds(0));
    CHECK(patience <= std::chrono::seconds(1));
    if (++asked[address] == 1 || address != "host:1") return {};
    folder.announce(0, "2 host:3 .\n");
    return Error(platform::Errc::system, "nobody listens");
  };
  const auto found = apps::hosts_found({"@" + folder.path().string()}, asks,
                                       [&](const std::string&) { folder.announce(1, "2 host:2 .\n"); });
  CHECK(found.value() == Addresses{"host:3", "host:2"});
  CHECK(asked["host:1"] == 2);
}

TEST_CASE("what a node itself refuses is told at once") {
  const Folder folder;
  folder.announce(0, "1 host:1 .\n");
  const auto asks = [](const std::string&, std::chrono::nanoseconds) -> Result<void> {
    return Error(platform::Errc::version_mismatch, "of another version");
  };
  const auto found = apps::hosts_found({"@" + folder.path().string()}, asks, [](const std::string&) {});
  REQUIRE_FALSE(found);
  CHECK(found.error() == platform::Errc::version_mismatch);
}

TEST_CASE("pipes, folders and long files in the folder are no announcements, and nobody waits for them") {
  const std::vector<std::function<void(const std::string&)>> others{
      [](const std::string& file) { REQUIRE(::mkfifo(file.c_str(), 0600) == 0); },
      [](const std::string& file) { std::filesystem::create_directory(file); },
      [](const std::string& file) {
        std::ofstream(file) << "1 host:9 .\n";
        REQUIRE(::truncate(file.c_str(), std::int64_t{1} << 40) == 0);
      }};
  for (const auto& lay : others) {
    const Folder folder;
    lay(folder / "node.0");
    const auto found = folder.found({"host:1", "host:9"}, [&] {
      std::filesystem::remove(folder / "node.0");
      folder.announce(0, "1 host:1 .\n");
    });
    CHECK(found.value() == Addresses{"host:1"});
  }
}

TEST_CASE("a node announces itself whatever lies where it writes, and takes away nothing but its own") {
  const Folder folder;
  const auto fresh = folder / ("node.0." + std::to_string(::getpid()));
  REQUIRE(::mkfifo(fresh.c_str(), 0600) == 0);
  {
    const auto made = Announcement::make(folder.path().string(), {0, 1, 0}, "host:1");
    REQUIRE_MESSAGE(made, render(made.error()));
    CHECK_FALSE(std::filesystem::exists(fresh));
    CHECK(folder.found({"host:1"}, [] { FAIL("it is there"); }).value() == Addresses{"host:1"});
    std::filesystem::remove(folder / "node.0");
    REQUIRE(::mkfifo((folder / "node.0").c_str(), 0600) == 0);
  }
  CHECK(std::filesystem::exists(folder / "node.0"));
}

TEST_CASE("an announcement that cannot be written as a whole is not there, and its node hears why") {
  const Folder folder;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit nothing{0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &nothing) == 0);
  const auto made = Announcement::make(folder.path().string(), {0, 1, 0}, "host:1");
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  (void)std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(made);
  CHECK(made.error() == apps::Errc::cannot_write);
  CHECK_MESSAGE(has(render(made.error()), "File too large"), render(made.error()));
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("options that do not fit are told before nodes are waited for") {
  const Folder folder;
  const auto hosts = " --hosts @" + folder.path().string();
  for (const std::string options : {"pod --module some.so", "pod --chips 2", "pod --models some.json"}) {
    CAPTURE(options);
    const auto ran = troupe_command("run " + options + hosts);
    CHECK(ran.exit == 2);
    CHECK_MESSAGE(!has(ran.output, "waits for the nodes"), ran.output);
  }
}
