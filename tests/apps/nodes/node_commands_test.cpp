// `troupe certs`, `troupe node` and `troupe run --hosts` as their users type them: separate processes, TLS on
// loopback, certificates wrong in every way, processes killed and stopped.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "support/random.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/platform/nodes.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

TEST_CASE("keys are for their user alone, and nothing that is there is made again") {
  const auto& folder = certificates().folder;
  for (const char* name : {"ca.key", "alice.key", "127.0.0.1.key"}) {
    struct stat facts {};
    REQUIRE(::stat((folder / name).c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777) == 0600);
  }
  const auto before = std::filesystem::last_write_time(folder / "alice.pem");
  const auto again = troupe_command("certs " + folder.path().string() + " --user alice");
  CHECK(again.exit == 0);
  CHECK(has(again.output, "there already"));
  CHECK(std::filesystem::last_write_time(folder / "alice.pem") == before);
  for (const char* wrong : {"--user ../x", "--user 'a b'", "--user ca", "--user -x", "--user a --node a"})
    CHECK_MESSAGE(troupe_command("certs " + folder.path().string() + " " + wrong).exit == 2, wrong);
  CHECK(std::filesystem::exists(folder / ".openssl.log") == false);
}

TEST_CASE(
    "a certificate that is there already is used again when it is what would be made, and else refused") {
  TemporaryFolder folder, other;
  const auto certs = "certs " + folder.path().string();
  const auto refused = [&](const std::string& options, const std::string& because) {
    const auto again = troupe_command(certs + options);
    CHECK(again.exit == 3);
    CHECK_MESSAGE(has(again.output, because), again.output);
  };
  REQUIRE(
      troupe_command(certs + " --user alice --user bob --user carol --node a.example --node 10.0.0.1").exit ==
      0);
  CHECK(troupe_command(certs + " --user alice --node a.example --node 10.0.0.1").exit == 0);
  refused(" --node alice", "no certificate of this authority for a node");
  refused(" --user a.example", "no certificate of this authority for a user");
  std::filesystem::rename(folder / "bob.pem", folder / "robert.pem");
  std::filesystem::copy_file(folder / "bob.key", folder / "robert.key");
  refused(" --user robert", "another name");
  refused(" --user bob", "the other is not");
  const auto key = folder / "carol.key";
  std::filesystem::copy_file(folder / "alice.key", key, std::filesystem::copy_options::overwrite_existing);
  refused(" --user carol", "is not the key of");
  REQUIRE(troupe_command("certs " + other.path().string() + " --user dave").exit == 0);
  for (const char* file : {"dave.pem", "dave.key"}) std::filesystem::copy_file(other / file, folder / file);
  refused(" --user dave", "no certificate of this authority for a user");
  std::filesystem::copy_file(other / "ca.key", folder / "ca.key",
                             std::filesystem::copy_options::overwrite_existing);
  refused(" --user eve", "are no authority");
}

TEST_CASE("an encrypted key is refused with a sentence, and nobody is asked for its password") {
  const auto& own = certificates();
  TemporaryFolder folder;
  REQUIRE(shell("openssl pkey -aes256 -passout pass:secret -in " + (own.folder / "alice.key") + " -out " +
                (folder / "closed.key") + " && chmod 600 " + (folder / "closed.key"))
              .exit == 0);
  const auto run = troupe_command("run hello --hosts 127.0.0.1:1 --cert " + (own.folder / "alice.pem") +
                                  " --key " + (folder / "closed.key") + " --ca " + (own.folder / "ca.pem"));
  CHECK(run.exit == 3);
  CHECK_MESSAGE(has(run.output, "is encrypted"), run.output);
}

TEST_CASE("built-in programs give their results on hosts, over TLS, as they do here") {
  NodeProcess a("127.0.0.1:0", "--chips 2 --allow alice" + certificates().of("127.0.0.1"));
  NodeProcess b("localhost:0", "--chips 2 --allow alice" + certificates().of("localhost"));
  for (const char* program : {"hello", "vector_add", "multi_chip_dispatch", "pipeline", "pod", "cholesky"}) {
    const auto run = troupe_command(std::string("run ") + program + " --hosts " + a.address() + "," +
                                    b.address() + certificates().of("alice"));
    CHECK_MESSAGE(run.exit == 0, run.output);
  }
  // Windows join chips of one machine.
  const auto apart =
      troupe_command("run allreduce --hosts " + a.address() + "," + b.address() + certificates().of("alice"));
  CHECK(apart.exit != 0);
  CHECK_MESSAGE(has(apart.output, "is on another machine"), apart.output);
  CHECK(troupe_command("run allreduce --hosts " + a.address() + certificates().of("alice")).exit == 0);
}

TEST_CASE("who is not allowed, or not known, or somebody else, does not get in, and is told why") {
  NodeProcess node("127.0.0.1:0", "--allow alice" + certificates().of("127.0.0.1"));
  const auto refused = [&](const std::string& options, const std::string& because) {
    const auto run = troupe_command("run hello" + hosts(node) + options);
    CHECK(run.exit == 3);
    CHECK_MESSAGE(has(run.output, because), run.output);
  };
  const auto& own = certificates();
  refused(own.of("bob"), "'bob' is not allowed");
  refused("", "needs certificates at both ends");
  refused(own.of("localhost"), "is not for a user");
  TemporaryFolder other;
  REQUIRE(troupe_command("certs " + other.path().string() + " --user alice --node 127.0.0.1").exit == 0);
  refused(" --cert " + (other / "alice.pem") + " --key " + (other / "alice.key") + " --ca " +
              (own.folder / "ca.pem"),
          "unknown ca");
  refused(
      " --cert " + (other / "alice.pem") + " --key " + (other / "alice.key") + " --ca " + (other / "ca.pem"),
      "certificate is not accepted");
  refused(" --cert " + (own.folder / "alice.pem") + " --key " + (own.folder / "bob.key") + " --ca " +
              (own.folder / "ca.pem"),
          "key");
  std::filesystem::copy_file(own.folder / "alice.key", other / "open.key");
  std::filesystem::permissions(other / "open.key", std::filesystem::perms(0644));
  refused(" --cert " + (own.folder / "alice.pem") + " --key " + (other / "open.key") + " --ca " +
              (own.folder / "ca.pem"),
          "can be read by others");
  CHECK(troupe_command("run hello" + hosts(node) + own.of("alice")).exit == 0);
}

TEST_CASE("where nobody listens, the hint says what should") {
  // A port that was free a moment ago, and is nobody's.
  std::string left;
  { left = NodeProcess("127.0.0.1:0", "--allow alice" + certificates().of("127.0.0.1")).address(); }
  const auto run = troupe_command("run hello --hosts " + left + certificates().of("alice"));
  CHECK(run.exit == 3);
  CHECK_MESSAGE(has(run.output, "Connection refused"), run.output);
  CHECK_MESSAGE(has(run.output, "hint: nobody listens there: is `troupe node` running"), run.output);
}

TEST_CASE("a node of another name than it is called by is not believed") {
  NodeProcess node("127.0.0.1:0", "--allow alice" + certificates().of("localhost"));
  const auto run = troupe_command("run hello" + hosts(node) + certificates().of("alice"));
  CHECK(run.exit == 3);
  CHECK_MESSAGE(has(run.output, "mismatch"), run.output);
  CHECK_MESSAGE(has(run.output, "hint: it is for another name of the host"), run.output);
}

TEST_CASE("a certificate that has expired does not let anybody in") {
  const auto& own = certificates();
  TemporaryFolder folder;
  // `troupe certs` makes none for the past.
  const std::string sign =
      "cd " + folder.path().string() + " && cp " + (own.folder / "alice.key") + " old.key && " +
      "openssl req -new -key old.key -subj /CN=alice -out old.csr && printf 'extendedKeyUsage=clientAuth\n' "
      "> old.ext && " +
      "openssl x509 -req -in old.csr -CA " + (own.folder / "ca.pem") + " -CAkey " + (own.folder / "ca.key") +
      " -set_serial 5 -extfile old.ext -days -1 -out old.pem 2>/dev/null; test -s old.pem";
  if (shell(sign + " 2>/dev/null").exit != 0) return;  // an openssl that does not sign for the past
  NodeProcess node("127.0.0.1:0", "--allow alice" + own.of("127.0.0.1"));
  const auto run = troupe_command("run hello" + hosts(node) + " --cert " + (folder / "old.pem") + " --key " +
                                  (folder / "old.key") + " --ca " + (own.folder / "ca.pem"));
  CHECK(run.exit == 3);
  CHECK_MESSAGE(has(run.output, "expired"), run.output);
}

TEST_CASE("a node that could serve nobody does not begin, and says why") {
  const auto& own = certificates();
  TemporaryFolder folder;
  const auto node = [&](const std::string& options) {
    return shell("timeout 60 " + tests::built("bin/troupe") + " node --listen unix:" + (folder / "socket") +
                 " " + options + " 2>&1");
  };
  const auto refused = [&](const std::string& options, const std::string& because) {
    const auto said = node(options);
    CHECK_MESSAGE(said.exit != 0, said.output);
    CHECK_MESSAGE(has(said.output, because), said.output);
    CHECK_FALSE(has(said.output, "listens"));
  };
  std::ofstream(folder / "text.so") << "no library at all";
  refused("--module " + (folder / "text.so"), "is no module: it is no ELF file");
  std::filesystem::copy_file(tests::built("modules/libtroupe_examples.so"), folder / "begun.so");
  std::filesystem::resize_file(folder / "begun.so", 3000);
  refused("--module " + (folder / "begun.so"), "is no module: it ends inside");
  refused("--module " + tests::built("lib/libtroupe_comm.so"), "it exports no symbol \"troupe_module\"");
  refused("--first-device 65535 --chips 2",
          "devices 65535 to 65536, and the platform has devices 0 to 65535");
  refused("--chips 0", "is not a number");
  const auto few = shell("ulimit -n 20; " + tests::built("bin/troupe") +
                         " node --listen unix:" + (folder / "socket") + " 2>&1; echo exit $?");
  CHECK_MESSAGE(has(few.output, "descriptors, and may have 20"), few.output);
  CHECK_MESSAGE(has(few.output, "exit 3"), few.output);
  const auto with = [&](const std::string& name) {
    return troupe_command("node --listen 127.0.0.1:0 --allow alice" + own.of(name));
  };
  const auto a_users = with("bob");
  CHECK(a_users.exit == 2);
  CHECK_MESSAGE(has(a_users.output, "is not for a node"), a_users.output);
  CHECK_MESSAGE(has(a_users.output, "--node makes certificates for nodes"), a_users.output);
}

TEST_CASE("options that are about hosts are refused without them, and so are names that are empty or twice") {
  for (const char* options : {"--silence 500", "--rejoin 3", "--cert a", "--key a", "--ca a"}) {
    const auto said = troupe_command(std::string("run hello ") + options);
    CHECK_MESSAGE(said.exit == 2, said.output);
    CHECK_MESSAGE(has(said.output, "--hosts"), said.output);
  }
  for (const char* empty : {"a:1,,b:1", "a:1,", ",a:1", "''"}) {
    const auto said = troupe_command(std::string("run hello --hosts ") + empty);
    CHECK_MESSAGE(said.exit == 2, said.output);
    CHECK_MESSAGE(has(said.output, "has a name that is empty"), said.output);
  }
  CHECK(troupe_command("pod --hosts a,,b").exit == 2);
  const auto twice = troupe_command("run hello --hosts unix:/a,unix:/b,unix:/a");
  CHECK_MESSAGE(twice.exit == 2, twice.output);
  CHECK_MESSAGE(has(twice.output, "names unix:/a more than once"), twice.output);
}

TEST_CASE("nothing listens on the network without certificates, and somebody who is allowed") {
  CHECK(troupe_command("node --listen 127.0.0.1:0").exit == 2);
  const auto nobody = troupe_command("node --listen 127.0.0.1:0" + certificates().of("127.0.0.1"));
  CHECK(nobody.exit == 2);
  CHECK_MESSAGE(has(nobody.output, "--allow"), nobody.output);
  const auto ships =
      troupe_command("node --listen 127.0.0.1:0 --allow alice --ship bob" + certificates().of("127.0.0.1"));
  CHECK(ships.exit == 2);
  CHECK_MESSAGE(has(ships.output, "'bob'"), ships.output);
}

TEST_CASE("code is taken from who has the right to send it, and what a node has is used without") {
  const auto& own = certificates();
  TemporaryFolder folder;
  // A module that the node has not: the same with another hash.
  const auto module = folder / "mine.so";
  std::filesystem::copy_file(tests::built("modules/libtroupe_examples.so"), module);
  std::ofstream(module, std::ios::app | std::ios::binary) << "x";
  NodeProcess strict("127.0.0.1:0", "--allow alice" + own.of("127.0.0.1"));
  const auto refused =
      troupe_command("run " + module + ":vector_add --param 0=1000" + hosts(strict) + own.of("alice"));
  CHECK(refused.exit != 0);
  CHECK_MESSAGE(has(refused.output, "--ship"), refused.output);
  CHECK_MESSAGE(has(refused.output, "mine.so"), refused.output);
  NodeProcess has_it("127.0.0.1:0", "--allow alice --module " + module + own.of("127.0.0.1"));
  CHECK(
      troupe_command("run " + module + ":vector_add --param 0=1000" + hosts(has_it) + own.of("alice")).exit ==
      0);
  NodeProcess takes_it("127.0.0.1:0", "--chips 4 --allow alice --ship alice" + own.of("127.0.0.1"));
  const auto sent =
      troupe_command("run " + module + ":vector_add --param 0=1000" + hosts(takes_it) + own.of("alice"));
  CHECK_MESSAGE(sent.exit == 0, sent.output);
}

TEST_CASE("a node that is killed in the middle of a run fails it with its address, within its bound") {
  NodeProcess node("127.0.0.1:0", "--allow alice" + certificates().of("127.0.0.1"));
  std::jthread killer([&] {
    CHECK(node.says("in use"));
    (void)node.end(SIGKILL);
  });
  const auto run =
      troupe_command("run pipeline --runs 100000 --timeout 60" + hosts(node) + certificates().of("alice"));
  killer.join();
  CHECK(run.exit != 0);
  CHECK(run.exit != 124);
  CHECK_MESSAGE(has(run.output, node.address()), run.output);
}

TEST_CASE("a node that is stopped is lost by its silence") {
  NodeProcess node("127.0.0.1:0", "--silence 500 --allow alice" + certificates().of("127.0.0.1"));
  std::jthread stopper([&] {
    CHECK(node.says("in use"));
    node.signal(SIGSTOP);
  });
  const auto run = troupe_command("run pipeline --runs 100000 --timeout 60 --silence 500" + hosts(node) +
                                  certificates().of("alice"));
  stopper.join();
  CHECK(run.exit != 0);
  CHECK(run.exit != 124);
  // Stopped while it brought its chip up it has not answered in time, stopped later nothing was heard from
  // it.
  const bool silent = has(run.output, "nothing was heard from " + node.address()) ||
                      has(run.output, "node " + node.address() + ": no answer in time");
  CHECK_MESSAGE(silent, run.output);
  node.signal(SIGCONT);
  CHECK(node.says("free"));
}

TEST_CASE("a program that is stopped loses its node, which the next one gets") {
  NodeProcess node("127.0.0.1:0", "--silence 500 --allow alice" + certificates().of("127.0.0.1"));
  const TemporaryFolder folder;
  // One for each word: of two that come one behind the other in a pipe the first reader may take both.
  const auto stop = folder / "stop", end = folder / "end";
  REQUIRE(::mkfifo(stop.c_str(), 0600) == 0);
  REQUIRE(::mkfifo(end.c_str(), 0600) == 0);
  std::jthread program([&] {
    (void)troupe_command("run pipeline --runs 100000" + hosts(node) + certificates().of("alice") +
                         " & P=$!; read x < " + stop + "; kill -STOP $P; read x < " + end + "; kill -9 $P");
  });
  CHECK(node.says("in use"));
  std::ofstream(stop) << "stop\n";
  CHECK(node.says("free"));
  CHECK(troupe_command("run hello" + hosts(node) + certificates().of("alice")).exit == 0);
  std::ofstream(end) << "end\n";
  program.join();
}

TEST_CASE("Ctrl-C ends a node and its chips, and what was listened at") {
  TemporaryFolder folder;
  NodeProcess node("unix:" + (folder / "node"), module_option().substr(1));
  CHECK(troupe_command("run hello --hosts unix:" + (folder / "node")).exit == 0);
  CHECK(node.end(SIGINT) == 130);
  CHECK_FALSE(std::filesystem::exists(folder / "node"));
}

TEST_CASE("nodes killed and stopped at any moment: each run ends, well or with a sentence") {
  std::mt19937_64 random(first_seed());
  for (std::uint64_t round = 0; round < cases(6); ++round) {
    CAPTURE(round);
    TemporaryFolder folder;
    NodeProcess node("unix:" + (folder / "node"), "--chips 2 --silence 300");
    const auto how = random() % 2 == 0 ? SIGKILL : SIGSTOP;
    std::jthread killer([&, after = std::chrono::microseconds(random() % 30'000)] {
      CHECK(node.says("in use"));
      const auto until = std::chrono::steady_clock::now() + after;
      while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
      node.signal(how);
    });
    const auto run = troupe_command(
        "run multi_chip_dispatch --runs 100000 --timeout 60 --silence 300 --rejoin 1 --hosts unix:" +
        (folder / "node"));
    killer.join();
    CHECK_MESSAGE((run.exit == 1 || run.exit == 3), run.output);
    CHECK_MESSAGE(has(run.output, folder / "node"), run.output);
  }
}

TEST_CASE("a pod of this machine runs what its options are given to, and leaves nothing behind") {
  TemporaryFolder folder;
  const auto options = folder / "options";
  REQUIRE(::mkfifo(options.c_str(), 0600) == 0);
  const auto all = shell(tests::built("bin/troupe") + " pod --nodes 3 > " + options +
                         " 2>/dev/null & P=$!; read line < " + options + "; " + tests::built("bin/troupe") +
                         " run pod $line 2>&1; echo exit $?; kill -INT $P; wait $P; echo $?; " +
                         "set -- $line; test -e $4 && echo left");
  CHECK_MESSAGE(has(all.output, "exit 0"), all.output);
  CHECK_MESSAGE(has(all.output, "130"), all.output);
  CHECK_FALSE(has(all.output, "left"));
}

namespace {

/// A folder with what is to ssh as a shell on this machine is to one on another.
struct Launcher {
  Launcher() {
    std::ofstream(path) << "#!/bin/sh\n[ \"$1\" = gone ] && { echo no way there >&2; exit 255; }\n"
                           "echo \"$1\" >> " +
                               hosts + "\nshift\nexec sh -c \"$*\"\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  /// The words of a pod that it starts.
  std::string pod(const std::string& on) const {
    const auto troupe = tests::built("bin/troupe");
    return troupe + " pod --hosts " + on + " --through " + path + " --troupe " + troupe;
  }
  TemporaryFolder folder;
  const std::string path = folder / "launcher", hosts = folder / "hosts";
};

}  // namespace

TEST_CASE("a pod on hosts that a launcher reaches: certificates come with it, and all ends with it") {
  const Launcher launcher;
  const auto options = launcher.folder / "options";
  REQUIRE(::mkfifo(options.c_str(), 0600) == 0);
  // Its processes have the descriptor 9, so that the shell's output ends when they all have.
  const auto all = shell("exec 9>&1; " + launcher.pod("me@127.0.0.1,localhost") + " --chips 2 > " + options +
                         " 2>/dev/null & P=$!; read line < " + options + "; " + tests::built("bin/troupe") +
                         " run pod $line 2>&1; echo exit $?; kill -9 $P; wait $P; set -- $line; " +
                         "test -e $4 && echo left; cat " + launcher.hosts + "; echo over");
  CHECK_MESSAGE(has(all.output, "exit 0"), all.output);
  CHECK_MESSAGE(has(all.output, "me@127.0.0.1\n"), all.output);
  CHECK_MESSAGE(has(all.output, "localhost\n"), all.output);
  CHECK_MESSAGE(has(all.output, "over"), all.output);
  CHECK_FALSE(has(all.output, "left"));
}

TEST_CASE("a pod says which host it cannot have, and why, and what is no host") {
  const Launcher launcher;
  const auto gone = shell(launcher.pod("localhost,gone") + " 2>&1; echo exit $?");
  CHECK_MESSAGE(has(gone.output, "no node on gone"), gone.output);
  CHECK_MESSAGE(has(gone.output, "did not start: no way there"), gone.output);
  CHECK_MESSAGE(has(gone.output, "exit 3"), gone.output);
  for (const auto* wrong : {"'a b'", "-oProxyCommand=x", "'$(x)'", "user@", "a:7000"}) {
    const auto refused = shell(launcher.pod(wrong) + " 2>&1; echo exit $?");
    CHECK_MESSAGE(has(refused.output, "exit 2"), refused.output);
  }
  const auto odd = shell(launcher.pod("localhost") + " --platform 'a;b' 2>&1; echo exit $?");
  CHECK_MESSAGE(has(odd.output, "\"a;b\" is no word that can be sent"), odd.output);
  CHECK_FALSE(std::filesystem::exists(launcher.folder / "x"));
}

TEST_CASE("a pod tells how a node has ended, what a launcher did not do, and that nobody has its options") {
  const Launcher launcher;
  const auto options = launcher.folder / "options", said = launcher.folder / "said";
  REQUIRE(::mkfifo(options.c_str(), 0600) == 0);
  REQUIRE(::mkfifo(said.c_str(), 0600) == 0);
  const auto troupe = tests::built("bin/troupe");
  const auto all = shell(
      "exec 9<>" + said + "; " + troupe + " pod --nodes 1 > " + options + " 2>&9 & P=$!; read line < " +
      options + "; read begun <&9; pkill -9 -P $P; read ended <&9; echo \"$ended\"; kill -INT $P; wait $P");
  CHECK_MESSAGE(has(all.output, "troupe pod: the node at"), all.output);
  CHECK_MESSAGE(has(all.output, "was ended by signal 9"), all.output);
  const auto silent = shell(troupe + " pod --hosts a --through false 2>&1; echo exit $?");
  CHECK_MESSAGE(has(silent.output, "it said nothing, and has ended with status 1"), silent.output);
  CHECK_MESSAGE(has(silent.output, "exit 3"), silent.output);
  const auto empty = shell(troupe + " pod --hosts echo --through '' 2>&1; echo exit $?");
  CHECK_MESSAGE(has(empty.output, "--through is empty"), empty.output);
  const auto lost = shell(troupe + " pod --nodes 1 2>&1 > /dev/full; echo exit $?");
  CHECK_MESSAGE(has(lost.output, "standard output cannot be written"), lost.output);
  CHECK_MESSAGE(has(lost.output, "exit 3"), lost.output);
  const auto idle = shell(troupe + " pod --nodes 1 --port 7000 2>&1; echo exit $?");
  CHECK_MESSAGE(has(idle.output, "exit 2"), idle.output);
}

TEST_CASE("a chip program that is elsewhere, and a name with a port on a certificate") {
  TemporaryFolder folder;
  std::filesystem::copy(tests::built("bin/troupe-chip"), folder / "chip");
  const auto ran = shell("TROUPE_CHIP_PROGRAM=" + (folder / "chip") + " " + tests::built("bin/troupe") +
                         " run hello --isolate 2>&1; echo exit $?");
  CHECK_MESSAGE(has(ran.output, "exit 0"), ran.output);
  const auto refused = shell(tests::built("bin/troupe") + " certs " + (folder / "certs") +
                             " --node host:7000 2>&1; echo exit $?");
  CHECK_MESSAGE(has(refused.output, "a host without its port"), refused.output);
  CHECK_MESSAGE(has(refused.output, "exit 2"), refused.output);
}

TEST_CASE("a node of a pod without credentials says so") {
  const auto node = tests::built("bin/troupe") + " node --of-pod --listen localhost:0 2>&1; echo exit $?";
  for (const auto* given : {"true", "echo end of credentials", "head -c 300000 /dev/zero"}) {
    const auto refused = shell(std::string(given) + " | " + node);
    CHECK_MESSAGE(has(refused.output, "no credentials on the standard input"), refused.output);
    CHECK_MESSAGE(has(refused.output, "exit 2"), refused.output);
  }
}

TEST_CASE("of a pod that is killed nothing is left: no key, no folder, no process") {
  TemporaryFolder folder;
  const auto options = folder / "options", temporary = folder / "temporary";
  REQUIRE(::mkfifo(options.c_str(), 0600) == 0);
  std::filesystem::create_directory(temporary);
  // Its processes have the descriptor 9, so that the shell's output ends when they all have.
  const auto all = shell(
      "exec 9>&1; export TMPDIR=" + temporary + "; " + tests::built("bin/troupe") + " pod --nodes 2 > " +
      options + " 2>/dev/null & P=$!; read line < " + options +
      "; set -- $line; test -s $6 && echo key there; test \"$(stat -L -c %a $6)\" = 600 && echo private; "
      "kill -9 $P; wait $P; test -e $6 && echo left");
  CHECK_MESSAGE(has(all.output, "key there"), all.output);
  CHECK_MESSAGE(has(all.output, "private"), all.output);
  CHECK_MESSAGE(!has(all.output, "left"), all.output);
  CHECK_MESSAGE(!has(all.output, ".key"), all.output);
  CHECK(std::filesystem::is_empty(temporary));
}
