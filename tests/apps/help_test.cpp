// What helps a person at the keyboard: help by subject, completion, manual pages, and hints at what was
// meant.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "apps/troupe_process.hpp"
#include "command/commands.hpp"
#include "command_line/complete.hpp"
#include "command_line/definition.hpp"
#include "command_line/help.hpp"
#include "examples/catalogue.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/actors/collectives.hpp"
#include "troupe/runtime/dtype.hpp"

namespace {

using namespace troupe::apps;
using troupe::test::has;
using troupe::test::shell;
using troupe::test::TemporaryFolder;
using troupe::test::troupe_command;

std::string completed(const std::vector<std::string>& words) {
  const Candidates found = complete(words);
  std::string all;
  for (const auto& word : found.words) all += (all.empty() ? "" : " ") + word.text;
  if (found.names == Candidates::Names::files) all += " FILES";
  if (found.names == Candidates::Names::folders) all += " FOLDERS";
  return all;
}

TEST_CASE("a command line is completed: commands, options, their words, programs, their parameters") {
  CHECK(completed({"r"}) == "run");
  CHECK(completed({"trace", "s"}) == "summary swimlane");
  CHECK(completed({"run", "he"}) == "hello heat heat_rows FILES");
  CHECK(completed({"run", "--ch"}) == "--chips --checked");
  CHECK(completed({"run", "--checked", "--ch"}) == "--chips");
  CHECK(completed({"run", "heat", "--param", ""}) == "size= steps=");
  CHECK(completed({"run", "heat", "--param=st"}) == "--param=steps=");
  CHECK(completed({"run", "--chips", "4", "heat", "--param", "size=3", "--param", "s"}) == "size= steps=");
  CHECK(has(completed({"run", "heat", "--platform", "a"}), "a2a3sim a5sim"));
  CHECK(completed({"run", "heat", "--trace", ""}) == " FILES");
  CHECK(completed({"run", "heat", "--tensor-dump", ""}) == " FOLDERS");
  CHECK(completed({"dump", "--stage", ""}) == "before after");
  CHECK(completed({"dump", "--stage=a"}) == "--stage=after");
  CHECK(completed({"list", "--log-level", "d"}) == "debug");
  CHECK(completed({"trace", "html", ""}) == " FILES");
  CHECK(completed({"help", "ty"}) == "types");
  CHECK(completed({"completion", "z"}) == "zsh");
  CHECK(completed({"run", "heat", "--", "--ch"}).empty());
  CHECK(completed({"nonsense", "--no-such", "x"}).find("run") == std::string::npos);
  CHECK(has(completed({}), "run"));
}

/// A command and all below it.
void with_all(const CLI::App& command, std::vector<std::string> words,
              const std::function<void(const CLI::App&, const std::vector<std::string>&)>& look) {
  look(command, words);
  for (const auto* sub : commands_of(command)) {
    auto longer = words;
    longer.push_back(sub->get_name());
    with_all(*sub, longer, look);
  }
}

TEST_CASE("an option that is not for people is in no help, no manual page, no completion and no hint") {
  const Definition all;
  std::size_t hidden = 0;
  with_all(all.app, {}, [&](const CLI::App& command, const std::vector<std::string>& words) {
    std::string called = "troupe";
    for (const auto& word : words) called += " " + word;
    for (const auto* option : command.get_options()) {
      if (!option->get_group().empty()) continue;
      const std::string name = option->get_lnames().front();
      CAPTURE(called);
      CAPTURE(name);
      std::string in_roff = name;
      for (auto at = in_roff.find('-'); at != in_roff.npos; at = in_roff.find('-', at + 2))
        in_roff.insert(at, "\\");
      CHECK_FALSE(has(manual_page(all, called), "\\-\\-" + in_roff + "\\fR"));
      CHECK_FALSE(has(command.help(), "--" + name));
      auto asked = words;
      asked.push_back("--");
      CHECK_FALSE(has(completed(asked) + " ", "--" + name + " "));
      asked.back() = "--" + name + "x";  // as somebody may misspell another one
      CHECK_FALSE(has(parse_command_line(asked).text, "--" + name + "?"));
      ++hidden;
    }
  });
  CHECK(hidden > 0);
  CHECK(completed({"node", "--pl"}) == "--platform");
}

TEST_CASE("bash completes troupe's command lines through its script") {
  const TemporaryFolder folder;
  std::ofstream(folder / "script") << completion_script("bash");
  const auto at_tab = [&](const std::string& line) {
    const std::string bin = std::filesystem::path(troupe::tests::built("bin/troupe")).parent_path().string();
    const auto done =
        shell("cd " + (folder / "") + " && touch trace.json && PATH=" + bin +
              ":$PATH bash -c 'source ./script; COMP_LINE=\"" + line +
              "\"; COMP_POINT=${#COMP_LINE}; _troupe 2>&1; printf \"%s|\" \"${COMPREPLY[@]}\"'");
    CAPTURE(done.output);
    REQUIRE(done.exit == 0);
    return done.output;
  };
  CHECK(at_tab("troupe ru") == "run|");
  CHECK(at_tab("troupe run heat --param s") == "size=|steps=|");
  CHECK(at_tab("troupe dump --stage=a") == "after|");  // what the shell has behind its =
  CHECK(at_tab("troupe trace summary tr") == "trace.json|");
}

/// Whether the program is there. Where every test counts it has to be: `./dev test` installs it then.
bool there(const std::string& program) {
  if (shell("command -v " + program).exit == 0) return true;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): read only
  REQUIRE_MESSAGE(std::getenv("CI") == nullptr,
                  "where every test counts, none is skipped for want of " << program);
  MESSAGE("skipped: no " << program << " here");
  return false;
}

TEST_CASE("zsh and fish can read the scripts that they are given") {
  const TemporaryFolder folder;
  for (const std::string name : {"zsh", "fish"}) {
    if (!there(name)) continue;
    std::ofstream(folder / name) << completion_script(name);
    const auto done = shell(name + " -n " + (folder / name) + " 2>&1");
    CAPTURE(done.output);
    CHECK(done.exit == 0);
  }
}

TEST_CASE("help explains commands, programs and subjects, and says what there is for other words") {
  const auto all = troupe_command("help");
  CHECK(all.exit == 0);
  for (const auto& topic : help_topics()) {
    CAPTURE(topic.name);
    const auto told = troupe_command("help " + topic.name);
    CHECK(told.exit == 0);
    CHECK(told.output.size() > 60);
  }
  CHECK(has(all.output, "exit-codes"));
  CHECK(troupe_command("help trace summary").output == troupe_command("trace summary --help").output);
  CHECK(troupe_command("help heat").output == troupe_command("run heat --help").output);
  const auto wrong = troupe_command("help tpyes");
  CHECK(wrong.exit == 2);
  CHECK(has(wrong.output, "did you mean types?"));
  CHECK(troupe_command("help ./nothing.so").exit == 3);
}

TEST_CASE("every element type is in the help and on its page") {
  std::ifstream in(troupe::tests::in_sources("docs/element-types.md"));
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  const std::string told = subject_text("types");
  std::size_t types = 0;
  for (std::uint32_t number = 0; number < 256; ++number) {
    if (!troupe::runtime::is_dtype(number)) continue;
    const std::string name(name_of(static_cast<troupe::runtime::DType>(number)));
    CAPTURE(name);
    CHECK((told.starts_with(name + " ") || has(told, "\n" + name + " ")));
    CHECK(has(page, "`" + name + "`"));
    ++types;
  }
  CHECK(types >= 16);
  const Definition all;
  CHECK(has(manual_page(all, "troupe"), "f8e8m0"));
}

/// Every string of the sources that is the name of a variable of ours: `getenv("TROUPE_CACHE")`.
TEST_CASE("every variable of the environment that users' programs look at is in the help") {
  const std::string told = subject_text("environment");
  std::set<std::string> found;
  for (const char* floor : {"runtime", "comm", "platform", "actors", "apps"}) {
    const std::filesystem::path folder = troupe::tests::in_sources(floor);
    for (auto it = std::filesystem::recursive_directory_iterator(folder);
         it != std::filesystem::recursive_directory_iterator(); ++it) {
      if (it->is_directory() && it->path().filename() == "bench") it.disable_recursion_pending();
      const auto kind = it->path().extension();
      if (kind != ".cpp" && kind != ".hpp" && kind != ".h" && kind != ".py") continue;
      std::ifstream file(it->path());
      const std::string text{std::istreambuf_iterator<char>(file), {}};
      for (auto at = text.find("\"TROUPE_"); at != text.npos; at = text.find("\"TROUPE_", at + 1)) {
        const auto end = text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", at + 1);
        if (end != text.npos && text[end] == '"') found.insert(text.substr(at + 1, end - at - 1));
      }
    }
  }
  CHECK(found.size() >= 9);
  for (const auto& name : found) {
    CAPTURE(name);
    CHECK((told.starts_with(name + " ") || has(told, "\n" + name + " ")));
  }
}

TEST_CASE("every command has a manual page that the formatter reads without a warning") {
  const bool formatter = there("man");
  const TemporaryFolder folder;
  std::vector<std::string> commands = {""};
  const Definition all;
  for (const auto* command : commands_of(all.app)) {
    commands.push_back(command->get_name());
    for (const auto* sub : commands_of(*command)) {
      commands.push_back(command->get_name() + " " + sub->get_name());
    }
  }
  const auto file = folder / "page.1";
  for (const auto& command : commands) {
    CAPTURE(command);
    const std::string page = manual_page(all, command.empty() ? "troupe" : "troupe " + command);
    CHECK(has(page, ".SH SYNOPSIS"));
    if (!formatter) continue;
    std::ofstream(file) << page;
    const auto shown = shell("LC_ALL=C.UTF-8 MANWIDTH=200 man --warnings -l " + file + " 2>&1 >/dev/null");
    CHECK(shown.output.empty());
  }
  CHECK(manual_page(all, "troupe nonsense").empty());
  CHECK(has(manual_page(all, "troupe run"), "\\fB\\-\\-chips\\fR \\fIN\\fR"));
}

TEST_CASE("the collectives that are listed are those that ship") {
  const auto module = troupe::actors::collectives();
  CHECK(module.callables().size() == shipped_kernels().size());
  const auto listed = troupe_command("list").output;
  for (const auto& callable : module.callables()) {
    const std::string name(callable.name());
    CAPTURE(name);
    CHECK(std::ranges::find(shipped_kernels(), name, &ShippedKernel::name) != shipped_kernels().end());
    CHECK(has(listed, "  " + name + " "));
  }
  CHECK(has(listed, "tensors  data, workspace | in, out, workspace"));
}

/// The list in apps/CMakeLists.txt is what is installed.
TEST_CASE("the manual pages that are installed are those that there are") {
  std::ifstream in(troupe::tests::in_sources("apps/CMakeLists.txt"));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const Definition all;
  std::size_t pages = 1;
  for (const auto* command : commands_of(all.app)) {
    const std::string name = "troupe-" + command->get_name();
    CAPTURE(name);
    CHECK((has(text, name + " ") || has(text, name + "\n") || has(text, name + ")")));
    ++pages;
    for (const auto* sub : commands_of(*command)) {
      CHECK(has(text, name + "-" + sub->get_name()));
      ++pages;
    }
  }
  const auto begin = text.find("set(manual "), end = text.find(')', begin);
  std::istringstream listed(text.substr(begin + 11, end - begin - 11));
  std::size_t words = 0;
  for (std::string word; listed >> word;) ++words;
  CHECK(words == pages);
}

TEST_CASE("what was meant is said: commands, options, programs, parameters, values, kernels") {
  const std::string module = troupe::tests::built("lib/libtroupe_test_module.so");
  struct Wrong {
    std::string line;
    int exit;
    std::string says;
  };
  for (const auto& wrong :
       {Wrong{"rnu hello", 2, "did you mean run?"}, Wrong{"trace sumary t.json", 2, "did you mean summary?"},
        Wrong{"heat", 2, "it is a program: troupe run heat"}, Wrong{"run haet", 3, "did you mean heat?"},
        Wrong{"run " + module + ":scaled_anwser", 3, "did you mean scaled_answer?"},
        Wrong{"run heat --param sise=3", 2, "did you mean size? it takes: size (u32, 128"},
        Wrong{"run heat --param size=-3", 2, "a whole number from 0 to 4294967295"},
        Wrong{"run heat --param", 2, "heat takes size (u32, 128 unless given), steps"},
        Wrong{"run hello --param x=1", 2, "leave --param away"},
        Wrong{"run hello --platform a2a3sym", 3, "did you mean a2a3sim?"},
        Wrong{"run " + module + ":misspells", 1, "did you mean say?"}}) {
    const auto done = troupe_command(wrong.line);
    CAPTURE(wrong.line);
    CAPTURE(done.output);
    CHECK(done.exit == wrong.exit);
    CHECK(has(done.output, wrong.says));
  }
}

}  // namespace
