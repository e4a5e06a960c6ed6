// Nodes on machines of their own, as far as one machine has that: network namespaces with a cable between
// them, which is pulled, and slow. Without the right to make them this is left out. And nodes that a launcher
// starts.
#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "fixture.hpp"
#include "many_runs.hpp"
#include "support/temporary_folder.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr const char* node_address = "10.213.7.2";

/// Two machines, `here` and `there`.
class Cable {
 public:
  /// None: this user may not.
  static std::optional<Cable> lay() {
    Cable cable;
    const auto& h = cable.here_;
    const auto& t = cable.there_;
    const auto made =
        shell("ip netns add " + h + " && ip netns add " + t + " && ip -n " + h +
              " link add wire type veth peer name wire netns " + t + " && ip -n " + h +
              " addr add 10.213.7.1/24 dev wire && ip -n " + t + " addr add " + node_address +
              "/24 dev wire && ip -n " + h + " link set lo up && ip -n " + t + " link set lo up && ip -n " +
              h + " link set wire up && ip -n " + t + " link set wire up 2>&1");
    if (made.exit == 0) return cable;
    MESSAGE("no network namespaces here, so not tested: " << made.output);
    return std::nullopt;
  }
  Cable(Cable&& other) noexcept : is_(std::exchange(other.is_, false)) {}
  Cable& operator=(Cable&&) = delete;
  ~Cable() {
    if (is_) shell("ip netns del " + here_ + " 2>/dev/null; ip netns del " + there_ + " 2>/dev/null");
  }

  void pull() const { CHECK(shell("ip -n " + there_ + " link set wire down").exit == 0); }
  void plug() const { CHECK(shell("ip -n " + there_ + " link set wire up").exit == 0); }
  bool is_slow(const std::string& rate) const {
    return shell("tc -n " + here_ + " qdisc add dev wire root tbf rate " + rate +
                 " burst 64kb latency 400ms 2>&1")
               .exit == 0;
  }
  std::vector<std::string> at_the_node() const { return {"ip", "netns", "exec", there_}; }
  /// `troupe`, on this machine.
  std::string command() const { return "ip netns exec " + here_ + " " + tests::built("bin/troupe"); }
  ShellResult troupe_here(const std::string& arguments) const {
    return shell(command() + " " + arguments + " 2>&1");
  }

 private:
  Cable() = default;
  bool is_ = true;
  std::string here_ = "troupe-test-" + std::to_string(::getpid()) + "-h",
              there_ = "troupe-test-" + std::to_string(::getpid()) + "-t";
};

/// A node behind the cable.
NodeProcess node_behind(const Cable& cable, const std::string& options) {
  return NodeProcess(std::string(node_address) + ":0",
                     options + " --chips 2 --allow alice" + certificates().of(node_address),
                     cable.at_the_node());
}

}  // namespace

TEST_CASE("a cable that is out for less than the bound costs time and nothing else") {
  const auto cable = Cable::lay();
  if (!cable) return;
  auto node = node_behind(*cable, "--silence 60000");
  ManyRuns runs(cable->command(), " --runs 3000 --silence 60000" + hosts(node) + certificates().of("alice"));
  REQUIRE_MESSAGE(runs.has_begun(), runs.output);
  cable->pull();
  // Nobody answers: so long as it takes to find that out the cable is out.
  (void)cable->troupe_here("run hello --hosts " + std::string(node_address) + ":1" +
                           certificates().of("alice"));
  cable->plug();
  CHECK_MESSAGE(runs.end() == 0, runs.output);
  CHECK_MESSAGE(!has(runs.output, "lost"), runs.output);
}

TEST_CASE("a cable that is out for longer loses the host by its silence, and it is used again after that") {
  const auto cable = Cable::lay();
  if (!cable) return;
  auto node = node_behind(*cable, "--silence 300");
  const auto options = " --silence 300 --rejoin 1" + hosts(node) + certificates().of("alice");
  ManyRuns runs(cable->command(), " --runs 100000" + options);
  REQUIRE_MESSAGE(runs.has_begun(), runs.output);
  cable->pull();
  CHECK_MESSAGE(runs.end() == 1, runs.output);
  CHECK_MESSAGE(has(runs.output, "nothing was heard from " + node.address() + " for 300 ms"), runs.output);
  CHECK(node.says("free"));
  cable->plug();
  const auto again = cable->troupe_here("run pipeline" + options);
  CHECK_MESSAGE(again.exit == 0, again.output);
}

TEST_CASE("many bytes over a slow cable take longer than the bound, and nobody is lost") {
  const auto cable = Cable::lay();
  if (!cable) return;
  auto node = node_behind(*cable, "--silence 500");
  if (!cable->is_slow("40mbit")) {
    MESSAGE("no slow cables here, so not tested");
    return;
  }
  // 12 MB there, over 5 MB/s.
  const auto run = cable->troupe_here("run vector_add --param elements=1000000 --timeout 100 --silence 500" +
                                      hosts(node) + certificates().of("alice"));
  CHECK_MESSAGE(run.exit == 0, run.output);
  CHECK_FALSE(has(run.output, "lost"));
}

TEST_CASE("a node that is stopped, and goes on before the bound, is not lost") {
  auto node =
      NodeProcess("127.0.0.1:0", "--silence 60000 --chips 2 --allow alice" + certificates().of("127.0.0.1"));
  ManyRuns runs(tests::built("bin/troupe"),
                " --runs 3000 --silence 60000" + hosts(node) + certificates().of("alice"));
  REQUIRE_MESSAGE(runs.has_begun(), runs.output);
  node.signal(SIGSTOP);
  // Another program waits at the door meanwhile, in vain.
  CHECK(troupe_command("run hello" + hosts(node) + certificates().of("alice")).exit == 3);
  node.signal(SIGCONT);
  CHECK_MESSAGE(runs.end() == 0, runs.output);
  CHECK_MESSAGE(!has(runs.output, "lost"), runs.output);
}

TEST_CASE(
    "nodes that a launcher starts with one command line find their certificates, and a program finds them") {
  const auto name = shell("hostname").output;
  const auto machine = name.substr(0, name.find('\n'));
  if (shell("getent hosts " + machine).exit != 0) {
    MESSAGE("this machine does not know its own name");
    return;
  }
  TemporaryFolder folder;
  const auto path = folder.path().string();
  const auto none = troupe_command("node --ranks " + path);
  CHECK(none.exit == 3);
  CHECK_MESSAGE(has(none.output, "no certificate for this machine"), none.output);
  REQUIRE(troupe_command("certs " + path + " --node " + machine + " --user alice").exit == 0);
  const auto rank = [&](const std::vector<std::string>& variables) {
    std::vector<std::string> before{"env"};
    before.insert(before.end(), variables.begin(), variables.end());
    return NodeProcess("", "--ranks " + path + " --chips 2 --allow alice", before);
  };
  const auto run = [&] {
    return troupe_command("run pod --hosts @" + path + " --cert " + (folder / "alice.pem") + " --key " +
                          (folder / "alice.key") + " --ca " + (folder / "ca.pem"));
  };
  {
    std::optional<ShellResult> early;
    std::jthread program([&] { early = run(); });  // waits for all of them
    const auto second = rank({"OMPI_COMM_WORLD_RANK=1", "OMPI_COMM_WORLD_SIZE=2",
                              "OMPI_COMM_WORLD_LOCAL_RANK=1", "SLURM_PROCID=0"});
    const auto first = rank({"OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2",
                             "OMPI_COMM_WORLD_LOCAL_RANK=0", "SLURM_PROCID=0"});
    program.join();
    CHECK_MESSAGE(early->exit == 0, early->output);
  }
  {
    // What is left of those that were killed is told from those that are there.
    const auto first = rank({"SLURM_PROCID=0", "SLURM_NTASKS=1", "SLURM_LOCALID=0"});
    const auto again = run();
    CHECK_MESSAGE(again.exit == 0, again.output);
    CHECK(std::filesystem::exists(folder / "node.0"));
  }
  auto alone = rank({"PMI_RANK=x"});
  CHECK(alone.end(SIGTERM) == 130);
  CHECK_FALSE(std::filesystem::exists(folder / "node.0"));
}
