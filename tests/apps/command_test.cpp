// The command as a user calls it: a process, its output, its exit code.
#include <doctest/doctest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "apps/troupe_process.hpp"
#include "examples/catalogue.hpp"
#include "support/built.hpp"
#include "support/temporary_folder.hpp"
#include "trace/analysis.hpp"
#include "trace/read.hpp"

namespace {

using troupe::test::has;
using troupe::test::shell;
using troupe::test::TemporaryFolder;
using troupe::test::troupe_command;

TEST_CASE("every built-in example runs on both platforms and finds its own result right") {
  for (const auto& example : troupe::apps::examples()) {
    for (const char* platform : {"a2a3sim", "a5sim"}) {
      const auto done = troupe_command("run " + std::string(example.name) + " --platform " + platform);
      CAPTURE(example.name);
      CAPTURE(platform);
      CAPTURE(done.output);
      CHECK(done.exit == 0);
      CHECK(has(done.output, std::string(example.name) + ": "));
    }
  }
}

TEST_CASE("the catalogue is what the list shows, with every parameter") {
  const auto list = troupe_command("list");
  CHECK(list.exit == 0);
  for (const auto& example : troupe::apps::examples()) {
    CHECK(has(list.output, std::string(example.name)));
    for (const auto& parameter : example.parameters)
      CHECK(has(list.output, std::string(parameter.name) + "="));
  }
}

TEST_CASE("parameters, chips and repeated runs are as asked for") {
  CHECK(troupe_command("run vector_add --param elements=7").exit == 0);
  CHECK(troupe_command("run allreduce --chips 2 --param rounds=3").exit == 0);
  CHECK(troupe_command("run heat --chips 3 --param size=17 --param steps=9").exit == 0);
  CHECK(troupe_command("run heat --chips 1 --param size=8").exit == 0);
  CHECK(troupe_command("run heat_rows --chips 3 --param size=17 --param steps=9").exit == 0);
  CHECK(troupe_command("run heat_rows --chips 1 --param size=8").exit == 0);
  CHECK(troupe_command("run cholesky --chips 3 --param tiles=5 --param tile=7").exit == 0);
  CHECK(troupe_command("run pod --nodes 3 --chips 1").exit == 0);
  const auto several = troupe_command("run hello --runs 5");
  CHECK(several.exit == 0);
  CHECK(has(several.output, "5 runs, fastest"));
}

TEST_CASE("a program of a shared object runs by its file's name") {
  const std::string module = troupe::tests::built("lib/libtroupe_test_module.so");
  CHECK(troupe_command("run " + module + ":answer --param 0=42").output.find("the answer is 42") !=
        std::string::npos);
  const auto several = troupe_command("run " + module);
  CHECK(several.exit == 3);
  CHECK(has(several.output, "its programs are: "));
  CHECK(has(troupe_command("list " + module).output, "answer"));
}

TEST_CASE("wrong input of every kind is a sentence and the right exit code") {
  const TemporaryFolder folder;
  std::ofstream(folder / "text.so") << "this is no library";
  REQUIRE(mkfifo(std::string(folder / "pipe").c_str(), 0600) == 0);
  const std::string module = troupe::tests::built("lib/libtroupe_test_module.so");
  struct Wrong {
    std::string arguments;
    int exit;
    std::string says;
  };
  for (const auto& wrong :
       {Wrong{"", 2, "needs a command"},
        {"dance", 2, "there is no command"},
        {"--dance", 2, "did not expect \"--dance\""},
        {"run hello --dance", 2, "troupe run has no option \"--dance\""},
        {"run hello again", 2, "did not expect \"again\""},
        {"run hello --timeout 0", 2, "--timeout"},
        {"run hello --chips 1 --chips 2", 2, "--chips can be given only once"},
        {"run hello --dump-only x", 2, "--tensor-dump"},
        {"run heat --param size=1", 2, "a plate of size 1 is too small"},
        {"run heat_rows --param size=1", 2, "a plate of size 1 is too small"},
        {"run cholesky --param tile=0", 2, "6 tiles of 0 rows are none"},
        {"run refine --param number=-1", 2, "only numbers above 0"},
        {"run allreduce --chips 65", 1, "1 to 64 ranks, not 65"},
        {"run hello --platform " + module, 3, "it is not a troupe platform library"},
        {"run", 2, "PROGRAM"},
        {"run no_such_example", 3, "no built-in program \"no_such_example\""},
        {"run vector_add --chips 0", 2, "--chips"},
        {"run pod --nodes 1024 --chips 1024", 2, "1048576 chips, and one process takes"},
        {"run hello --trace x.json --swimlane x.json", 3, "two outputs cannot both"},
        {"run " + (folder / "pipe"), 3, "it is no regular file"},
        {"run hello --platform " + (folder / "pipe"), 3, "it is no regular file"},
        {"list /dev/zero", 3, "it is no regular file"},
        {"dump " + (folder / "pipe") + " --arg -1", 2, "--arg: \"-1\""},
        {"run vector_add --param colour=1", 2, "it takes: elements (u32, 16384 unless given)"},
        {"run vector_add --param elements=many", 2, "it is of type u32"},
        {"run vector_add --param elements=4294967295", 2, "up to 268435456 elements"},
        {"run vector_add --platform no_such_chip", 3, "no_such_chip"},
        {"run ./no_such_file.so", 3, "no_such_file.so"},
        {"run " + (folder / "text.so"), 3, "text.so"},
        {"run " + module + ":nothing", 3, "there is no program \"nothing\""},
        {"run " + module + ":answer", 2, "needs its parameter \"0\""},
        {"run " + module + ":fails", 1, "this program always fails"},
        {"list " + (folder / "text.so"), 3, "text.so"},
        {"devices no_such_chip", 3, "no_such_chip"},
        {"trace summary /no/such/file", 3, "cannot read"},
        {"trace html " + (folder / "text.so"), 3, "is not a trace"},
        {"trace graph " + (folder / "text.so") + " x.dot", 3, "is not a trace"},
        {"dump /no/such/folder", 3, "no tensor dump"},
        {"scenes /no/such/program", 3, "cannot run"},
        {"run hello --trace /no/such/folder/t.json", 3, "/no/such/folder/t.json"},
        {"run hello --graph " + (folder / "g.txt"), 3, ".dot"}}) {
    const auto done = troupe_command(wrong.arguments);
    CAPTURE(wrong.arguments);
    CAPTURE(done.output);
    CHECK(done.exit == wrong.exit);
    CHECK(has(done.output, "troupe: "));
    CHECK(has(done.output, wrong.says));
    // One sentence, and what to do.
    CHECK(done.output.find("troupe: ") == done.output.rfind("troupe: "));
    if (wrong.says != "this program always fails") CHECK(has(done.output, "hint: "));
  }
}

TEST_CASE("a run leaves a trace that the readers understand") {
  const TemporaryFolder folder;
  const std::string trace = folder / "t.json";
  const auto run = troupe_command("run allreduce --chips 2 --param rounds=1 --trace " + trace + " --graph " +
                                  (folder / "g.dot") + " --swimlane " + (folder / "s.json"));
  CAPTURE(run.output);
  REQUIRE(run.exit == 0);
  const auto summary = troupe_command("trace summary " + trace);
  CAPTURE(summary.output);
  CHECK(summary.exit == 0);
  for (const char* part :
       {"node0/chip0", "node0/chip1", "add_all_ranks", "critical path:", "time lost waiting", "its group:"}) {
    CAPTURE(part);
    CHECK(has(summary.output, part));
  }
  CHECK(has(shell("cat " + (folder / "g.dot")).output, "all-reduce"));
  CHECK(has(shell("cat " + (folder / "s.json")).output, "\"core_type\":\"aiv\""));
  const auto page = troupe_command("trace html " + trace).output;
  CHECK(has(page, "add_all_ranks"));
  CHECK(has(page, "domain of 2 chips"));
}

TEST_CASE("a tensor dump shows what a kernel read and wrote") {
  const TemporaryFolder folder;
  const auto run = troupe_command("run vector_add --param elements=4 --tensor-dump " + (folder / "d"));
  CAPTURE(run.output);
  REQUIRE(run.exit == 0);
  const auto after = troupe_command("dump " + (folder / "d") + " --stage after --role out --values");
  CAPTURE(after.output);
  CHECK(has(after.output, "add_vectors after out[2] f32[4] min 5 max 5 mean 5"));
  CHECK(has(after.output, "5 5 5 5"));
  // Only what was selected.
  REQUIRE(troupe_command("run vector_add --tensor-dump " + (folder / "none") + " --dump-only 'no*'").exit ==
          0);
  CHECK_FALSE(has(troupe_command("dump " + (folder / "none")).output, "add_vectors"));
  REQUIRE(troupe_command("run vector_add --tensor-dump " + (folder / "some") + " --dump-only 'add_*'").exit ==
          0);
  CHECK(has(troupe_command("dump " + (folder / "some")).output, "add_vectors before"));
  // A folder that holds a dump is not written over.
  CHECK(troupe_command("run vector_add --tensor-dump " + (folder / "d")).exit == 3);
}

/// `troupe run MODULE:PROGRAM`, after its first task has said that it is under way.
struct UnderWay {
  explicit UnderWay(const std::string& name, std::vector<std::string> options = {}) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    std::vector<std::string> words = {troupe::tests::built("bin/troupe"), "run",
                                      troupe::tests::built("lib/libtroupe_test_module.so") + ":" + name};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    REQUIRE(posix_spawn(&child, arguments.front(), &actions, nullptr, arguments.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    from = ends[0];
    char c = 0;
    while (said.find("under way") == std::string::npos && read(from, &c, 1) == 1) said += c;
  }
  ~UnderWay() { close(from); }
  /// Sends the signal, waits for the end: the exit code, or 128 + n after signal n.
  int end_with(int signal) {
    kill(child, signal);
    char c = 0;
    while (read(from, &c, 1) == 1) said += c;
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  pid_t child = 0;
  int from = -1;
  std::string said;
};

std::set<std::string> shared_memory() {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename().string();
    if (has(name, "troupe")) names.insert(name);
  }
  return names;
}

TEST_CASE("Ctrl-C cancels the run, says what was running, and answers 130") {
  for (const int signal : {SIGINT, SIGTERM}) {
    UnderWay run("turns");
    const int answer = run.end_with(signal);
    CAPTURE(run.said);
    CHECK(answer == 130);
    CHECK(has(run.said, "cancelling turns"));
    CHECK(has(run.said, "task 1 \"turn for ever\": with chip0: aiv24: turn, for "));
    CHECK(has(run.said, "\"look at it\" waits for 1 task: \"turn for ever\" (running on chip0)"));
    CHECK(has(run.said, "turns: cancelled"));
  }
}

TEST_CASE("a program that does not come back after Ctrl-C is left, and what it did until then is written") {
  const TemporaryFolder folder;
  UnderWay run("computes", {"--trace", folder / "t.json"});
  const int answer = run.end_with(SIGINT);
  CAPTURE(run.said);
  CHECK(answer == 130);
  CHECK(has(run.said, "cancelling computes … (Ctrl-C again: end at once)"));
  CHECK(has(run.said, "computes: did not end when it was asked to; it is left to itself"));
  CHECK(troupe::apps::read_trace_file(folder / "t.json"));
}

TEST_CASE("Ctrl-C of a pod says which node has what") {
  UnderWay run("turns_in_a_pod", {"--nodes", "2"});
  const int answer = run.end_with(SIGINT);
  CAPTURE(run.said);
  CHECK(answer == 130);
  CHECK(has(run.said, "task 1 \"part 1\": with node1"));
}

TEST_CASE("a run that does not end within its --timeout is cancelled, and says what it waits for") {
  const auto done =
      troupe_command("run " + troupe::tests::built("lib/libtroupe_test_module.so") + ":turns --timeout 1");
  CAPTURE(done.output);
  CHECK(done.exit == 124);
  CHECK(has(done.output, "turns did not end in time; it waits for:"));
  CHECK(has(done.output, "turns: cancelled"));
  CHECK(troupe_command("run hello --timeout 600").exit == 0);
}

TEST_CASE("what is larger than the machine is refused with a sentence, before anybody is killed for it") {
  for (const char* run : {"run pod --param rows=4294967295", "run heat --param size=2000000"}) {
    const auto done = troupe_command(run);
    CAPTURE(done.output);
    CHECK(done.exit == 1);
    CHECK(has(done.output, "memory"));
  }
}

TEST_CASE("every kernel of a trace has a number of its own, also those of a group") {
  const TemporaryFolder folder;
  const std::string file = folder / "t.json";
  REQUIRE(troupe_command("run allreduce --chips 2 --param rounds=1 --trace " + file).exit == 0);
  const auto trace = troupe::apps::read_trace_file(file).value();
  std::set<troupe::actors::TaskId> numbers;
  std::size_t of_a_group = 0;
  for (const auto& span : trace.spans) {
    if (span.kind != troupe::actors::SpanKind::aiv) continue;
    CHECK(numbers.insert(span.task).second);
    of_a_group += trace.text(span.name) == "add_all_ranks" ? 1 : 0;
  }
  CHECK(of_a_group == 2);
}

TEST_CASE("what a program copies into windows and out of them is in its trace, by bytes") {
  const TemporaryFolder folder;
  const std::string file = folder / "t.json";
  REQUIRE(troupe_command("run allreduce --chips 2 --param rounds=1 --trace " + file).exit == 0);
  const auto trace = troupe::apps::read_trace_file(file).value();
  const auto moves = troupe::apps::analyze(trace).moves;
  REQUIRE(moves.size() == 4);
  for (const auto& move : moves) CHECK(move.bytes == 128 * 128 * sizeof(float));
  CHECK(has(troupe_command("trace summary " + file).output, "bytes moved"));
}

TEST_CASE("the time that a kernel waited for a flag is in the trace") {
  const TemporaryFolder folder;
  const std::string file = folder / "t.json";
  // It waits in vain, which takes as long as it takes to find that out: never nothing.
  REQUIRE(troupe_command("run " + troupe::tests::built("lib/libtroupe_test_module.so") + ":lonely --trace " +
                         file)
              .exit == 1);
  const auto trace = troupe::apps::read_trace_file(file).value();
  const auto kernel = std::ranges::find_if(trace.spans, [&](const auto& span) {
    return span.kind == troupe::actors::SpanKind::aiv && trace.text(span.name) == "wait_for_partner";
  });
  REQUIRE(kernel != trace.spans.end());
  CHECK(kernel->window_wait > 0);
  CHECK(kernel->window_wait <= kernel->duration());
  CHECK(has(troupe_command("trace summary " + file).output, "a window: a peer's flag was not set"));
}

TEST_CASE("the summary of a pod's trace shows the kernels' tasks on its critical path") {
  const TemporaryFolder folder;
  const std::string file = folder / "t.json";
  REQUIRE(troupe_command("run pod --trace " + file).exit == 0);
  const auto summary = troupe_command("trace summary " + file).output;
  CAPTURE(summary);
  const auto path = summary.find("critical path: ");
  REQUIRE(path != std::string::npos);
  const auto end = summary.find("time lost waiting", path);
  CHECK(has(summary.substr(path, end - path), "square ("));
  CHECK_FALSE(has(summary.substr(path, end - path), "part "));
}

TEST_CASE("nothing is left behind after kill -9") {
  const auto before = shared_memory();
  UnderWay endless("endless");
  CHECK(endless.end_with(SIGKILL) == 137);
  CHECK(shared_memory() == before);
}

TEST_CASE("devices tells what the simulated chips are") {
  const auto devices = troupe_command("devices");
  CAPTURE(devices.output);
  CHECK(devices.exit == 0);
  CHECK(has(devices.output, "24 clusters of 1 AIC + 2 AIV"));
  CHECK(has(devices.output, "36 clusters of 1 AIC + 2 AIV"));
}

}  // namespace
