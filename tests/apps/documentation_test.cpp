// The documentation holds: links resolve, samples are what is compiled, help texts are what the command says.
#include <doctest/doctest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "command/cli.hpp"
#include "command_line/definition.hpp"
#include "support/built.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

namespace {

namespace fs = std::filesystem;

const fs::path root = troupe::tests::in_sources();

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Every page that is part of the project, wherever it stands.
std::vector<fs::path> pages() {
  std::vector<fs::path> found;
  for (auto it = fs::recursive_directory_iterator(root); it != fs::recursive_directory_iterator(); ++it) {
    const std::string name = it->path().filename().string();
    if (it->is_directory() && (name == "build" || name == ".git")) it.disable_recursion_pending();
    if (it->path().extension() == ".md") found.push_back(it->path());
  }
  std::ranges::sort(found);
  return found;
}

struct Block {
  std::string info;  ///< what stands behind the ```
  std::string text;
};

/// The fenced blocks of a page, and the page without them.
std::pair<std::vector<Block>, std::string> fenced(const std::string& page) {
  std::vector<Block> blocks;
  std::string rest;
  bool inside = false;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    const bool fence = line.starts_with("```");
    if (fence && !inside) blocks.push_back({line.substr(3), ""});
    if (fence) {
      inside = !inside;
    } else {
      (inside ? blocks.back().text : rest) += line + "\n";
    }
  }
  return {blocks, rest};
}

/// The anchor that a heading gets on the usual hosts: lower case, blanks to hyphens, punctuation dropped.
std::string anchor(const std::string& heading) {
  std::string out;
  for (const char c : heading) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '-' || c == '_' || byte >= 0x80) {
      out += static_cast<char>(std::tolower(byte));
    } else if (c == ' ') {
      out += '-';
    }
  }
  return out;
}

std::set<std::string> anchors(const fs::path& page) {
  std::set<std::string> found;
  std::istringstream lines(fenced(read(page)).second);
  for (std::string line; std::getline(lines, line);) {
    const auto text = line.find_first_not_of('#');
    if (text == 0 || text == std::string::npos || line[text] != ' ') continue;
    found.insert(anchor(line.substr(text + 1)));
  }
  return found;
}

std::string without_inline_code(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto close = text[at] == '`' ? text.find_first_of("`\n", at + 1) : std::string::npos;
    if (close != std::string::npos && text[close] == '`') {
      at = close + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

/// What stands behind each [text](, up to a title or the closing parenthesis.
std::vector<std::string> link_targets(const std::string& text) {
  std::vector<std::string> targets;
  for (auto at = text.find("]("); at != std::string::npos; at = text.find("](", at + 2)) {
    const auto end = text.find_first_of(" \t\n()", at + 2);
    if (end != std::string::npos && end > at + 2) targets.push_back(text.substr(at + 2, end - at - 2));
  }
  return targets;
}

TEST_CASE("every relative link in the documentation leads somewhere") {
  std::size_t checked = 0;
  for (const auto& page : pages()) {
    for (const std::string& target : link_targets(without_inline_code(fenced(read(page)).second))) {
      if (target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
      CAPTURE(page.string());
      CAPTURE(target);
      const auto hash = target.find('#');
      const fs::path file = hash == 0 ? page : page.parent_path() / target.substr(0, hash);
      CHECK(fs::exists(file));
      if (hash != std::string::npos && file.extension() == ".md") {
        CHECK(anchors(file).contains(target.substr(hash + 1)));
      }
      ++checked;
    }
  }
  CHECK(checked > 0);
}

/// ```cpp file=tests/samples/hello.cpp: the block stands in that file, which the build compiles. Pages that
/// tests/docs/CMakeLists.txt names are compiled as they are.
TEST_CASE("every C++ sample that users read is compiled") {
  const std::string compiled_pages = read(root / "tests/docs/CMakeLists.txt");
  std::size_t checked = 0;
  for (const auto& page : pages()) {
    const std::string name = fs::relative(page, root).string();
    const bool compiled =
        name.starts_with("docs/") &&
        compiled_pages.find("troupe_doc_samples(" + name.substr(5) + ")") != std::string::npos;
    const bool for_users = !compiled && (name == "README.md" || name.starts_with("docs/"));
    for (const auto& block : fenced(read(page)).first) {
      if (!block.info.starts_with("cpp")) continue;
      CAPTURE(page.string());
      CAPTURE(block.text);
      if (block.info.find("header=") != std::string::npos) continue;  // declarations: see below
      const auto mark = block.info.find("file=");
      if (mark == std::string::npos) {
        CHECK_MESSAGE(!for_users, "this sample does not name its source: ```cpp file=PATH");
        continue;
      }
      const fs::path source = root / block.info.substr(mark + 5);
      CAPTURE(source.string());
      REQUIRE(fs::exists(source));
      CHECK_MESSAGE(read(source).find(block.text) != std::string::npos, "the page and its source differ");
      ++checked;
    }
  }
  CHECK(checked > 0);
}

/// The lines of a source without which the rest of it does not compile.
std::vector<std::string> head_lines(const std::string& source) {
  std::vector<std::string> found;
  std::istringstream lines(source);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#include ") || line.starts_with("using ")) found.push_back(line + "\n");
  }
  return found;
}

TEST_CASE("a sample that users copy shows the includes and the names that it needs") {
  std::size_t checked = 0;
  for (const auto& page : pages()) {
    const std::string name = fs::relative(page, root).string();
    if (name != "README.md" && !name.starts_with("docs/")) continue;
    std::map<std::string, std::string> shown;  // by source: its blocks, in order
    for (const auto& block : fenced(read(page)).first) {
      const auto mark = block.info.find("file=");
      if (block.info.starts_with("cpp") && mark != std::string::npos)
        shown[block.info.substr(mark + 5)] += block.text;
    }
    for (const auto& [of_file, text] : shown) {
      const std::string source = of_file;  // clang cannot capture the binding
      CAPTURE(name);
      CAPTURE(source);
      for (const auto& line : head_lines(read(root / source))) {
        CAPTURE(line);
        CHECK(text.find(line) != std::string::npos);
        ++checked;
      }
    }
  }
  CHECK(checked > 30);
}

/// With one blank for every white space, and without what a reader does not need.
std::string squeezed(std::string text) {
  for (const char* word : {"TROUPE_API ", "[[nodiscard]] "}) {
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word))
      text.erase(at, std::strlen(word));
  }
  std::string out;
  for (const char c : text) {
    const bool blank = std::isspace(static_cast<unsigned char>(c)) != 0;
    if (!blank || (!out.empty() && out.back() != ' ')) out += blank ? ' ' : c;
  }
  return out;
}

bool mentions(const std::string& text, const std::string& name) {
  const auto part_of_a_name = [&](std::size_t at) {
    return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_');
  };
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    if (!part_of_a_name(at - 1) && !part_of_a_name(at + name.size())) return true;
  }
  return false;
}

/// What of the standard library stands in which header; what samples use of it, not all that there is.
const std::map<std::string, std::set<std::string>> standard_headers = {
    {"algorithm",
     {"std::max", "std::min", "std::sort", "std::fill", "std::copy", "std::clamp", "std::equal",
      "std::all_of", "std::any_of", "std::ranges::fill", "std::ranges::sort", "std::ranges::copy",
      "std::ranges::equal", "std::ranges::all_of", "std::ranges::any_of"}},
    {"array", {"std::array"}},
    {"chrono", {"std::chrono"}},
    {"cmath", {"std::sqrt", "std::abs", "std::exp", "std::tanh", "std::isnan"}},
    {"cstddef", {"std::size_t", "std::ptrdiff_t", "std::byte"}},
    {"cstdint",
     {"std::int8_t", "std::int16_t", "std::int32_t", "std::int64_t", "std::uint8_t", "std::uint16_t",
      "std::uint32_t", "std::uint64_t", "std::uintptr_t"}},
    {"cstdio", {"std::printf", "std::fprintf", "std::puts"}},
    {"cstdlib", {"std::exit", "std::getenv"}},
    {"cstring", {"std::memcpy", "std::memset"}},
    {"functional", {"std::function"}},
    {"iostream", {"std::cout", "std::cerr"}},
    {"memory", {"std::unique_ptr", "std::shared_ptr", "std::make_unique", "std::make_shared"}},
    {"numeric", {"std::accumulate", "std::iota"}},
    {"optional", {"std::optional"}},
    {"span", {"std::span"}},
    {"stdexcept", {"std::runtime_error"}},
    {"string", {"std::string", "std::to_string"}},
    {"string_view", {"std::string_view"}},
    {"thread", {"std::thread"}},
    {"utility", {"std::move", "std::pair", "std::swap", "std::exchange"}},
    {"vector", {"std::vector"}},
};

TEST_CASE("a sample that users copy includes what it names of the standard library") {
  std::set<std::string> sources;
  for (const auto& page : pages()) {
    const std::string name = fs::relative(page, root).string();
    if (name != "README.md" && !name.starts_with("docs/")) continue;
    for (const auto& block : fenced(read(page)).first) {
      const auto mark = block.info.find("file=");
      if (block.info.starts_with("cpp") && mark != std::string::npos)
        sources.insert(block.info.substr(mark + 5));
    }
  }
  CHECK(sources.size() > 20);
  for (const auto& name : sources) {
    CAPTURE(name);
    const std::string source = read(root / name);
    for (const auto& [header, names] : standard_headers) {
      const bool named = std::ranges::any_of(names, [&](const auto& one) { return mentions(source, one); });
      CHECK_MESSAGE((!named || source.find("#include <" + header + ">") != std::string::npos), header);
    }
  }
}

TEST_CASE("what the reference declares is what the headers declare") {
  std::size_t checked = 0;
  for (const auto& block : fenced(read(root / "docs/reference.md")).first) {
    const auto mark = block.info.find("header=");
    if (mark == std::string::npos) continue;
    const fs::path header = root / block.info.substr(mark + 7);
    REQUIRE(fs::exists(header));
    const std::string declared = squeezed(read(header));
    std::istringstream lines(block.text);
    for (std::string line; std::getline(lines, line);) {
      line = squeezed(line.substr(0, line.find(" //")));
      while (!line.empty() && (line.back() == ' ' || line.back() == ';')) line.pop_back();
      CAPTURE(header.string());
      CAPTURE(line);
      CHECK(declared.find(line) != std::string::npos);
      ++checked;
    }
  }
  CHECK(checked > 100);
}

/// The public functions of a class: what a line at its first indentation declares.
std::set<std::string> public_functions(const std::string& header, const std::string& name) {
  std::set<std::string> found;
  std::istringstream lines(header);
  bool inside = false, open = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("class ") && line.ends_with("{") && mentions(line, name)) inside = true;
    if (!inside) continue;
    if (line == " public:") open = true;
    if (line == " private:" || line.starts_with("};")) break;
    if (line.starts_with("  [[deprecated")) continue;  // its compiler says what to call
    const auto begin = line.find_first_not_of(' '), call = line.find('(');
    if (!open || begin != 2 || call == std::string::npos || line[2] == '/' || line[2] == '}') continue;
    auto first = call;
    while (first > 0 &&
           (std::isalnum(static_cast<unsigned char>(line[first - 1])) != 0 || line[first - 1] == '_'))
      --first;
    const std::string function = line.substr(first, call - first);
    const bool special = function.empty() || function == name || function == "operator" ||
                         function == "is_invocable_v" || function == "requires";
    if (!special) found.insert(function);
  }
  return found;
}

TEST_CASE("nothing that users call is missing in the reference") {
  const std::string page = read(root / "docs/reference.md");
  std::istringstream lines(read(root / "actors/include/troupe/troupe.hpp"));
  std::size_t names = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("using ")) continue;
    const std::string name = line.substr(line.rfind(':') + 1, line.size() - line.rfind(':') - 2);
    CAPTURE(name);
    CHECK(mentions(page, name));
    ++names;
  }
  CHECK(names > 40);
  const fs::path actors = "actors/include/troupe";
  for (const auto& [header, class_name] :
       {std::pair{actors / "actors/system.hpp", "System"},
        {actors / "actors/system.hpp", "Node"},
        {actors / "actors/system.hpp", "Handle"},
        {actors / "actors/system.hpp", "ChipDevice"},
        {actors / "actors/orchestrator.hpp", "Orchestrator"},
        {actors / "actors/tensor.hpp", "Tensor"},
        {actors / "actors/waiting.hpp", "Task"},
        {actors / "actors/domain.hpp", "Domain"},
        {actors / "actors/domain.hpp", "DomainRank"},
        {actors / "testing.hpp", "Simulation"},
        {actors / "testing.hpp", "Fault"},
        {fs::path("runtime/include/troupe/runtime/kernel.hpp"), "KernelArgs"},
        {fs::path("runtime/include/troupe/runtime/kernel.hpp"), "HostArgs"},
        {fs::path("platform/include/troupe/platform/chip_program.hpp"), "ChipOrchestrator"},
        {fs::path("platform/include/troupe/platform/chip_program.hpp"), "ChipArgs"}}) {
    const std::string name = class_name;  // clang cannot capture the binding
    const auto functions = public_functions(read(root / header), name);
    CAPTURE(name);
    CHECK(functions.size() >= 3);
    for (const auto& function : functions) {
      CAPTURE(function);
      CHECK(mentions(page, function));
    }
  }
}

TEST_CASE("the commands that the pages show work, in the order in which they stand there") {
  std::vector<fs::path> pages = {root / "docs/tracing.md"};
  for (const auto& entry : fs::directory_iterator(root / "docs/examples")) pages.push_back(entry.path());
  const std::string bin = fs::path(troupe::tests::built("bin/troupe")).parent_path().string();
  std::size_t checked = 0;
  for (const auto& page : pages) {
    const troupe::test::TemporaryFolder folder;
    for (const auto& block : fenced(read(page)).first) {
      std::istringstream lines(block.text);
      for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("$ troupe ")) continue;
        const auto done = troupe::test::shell("cd " + (folder / "") + " && export PATH=" + bin +
                                              ":$PATH && " + line.substr(2) + " 2>&1");
        CAPTURE(page.string());
        CAPTURE(line);
        CAPTURE(done.output);
        CHECK(done.exit == 0);
        CHECK_FALSE(done.output.starts_with("0 of "));  // a dump that shows nothing
        ++checked;
      }
    }
  }
  CHECK(checked > 12);
}

TEST_CASE("the command reference says what --help says") {
  const auto blocks = fenced(read(root / "docs/command.md")).first;
  std::set<std::string> told;
  for (const auto& block : blocks) {
    if (!block.info.starts_with("console") || !block.text.starts_with("$ troupe ")) continue;
    const auto first = block.text.find('\n');
    std::istringstream words(block.text.substr(9, first - 9));
    std::vector<std::string> arguments;
    for (std::string word; words >> word;) arguments.push_back(word);
    if (arguments.empty() || arguments.back() != "--help") continue;
    CAPTURE(block.text.substr(0, first));
    const auto line = troupe::apps::parse_command_line(arguments);
    CHECK(line.text == block.text.substr(first + 1));
    arguments.pop_back();
    std::string command;
    for (const auto& word : arguments) command += (command.empty() ? "" : " ") + word;
    told.insert(command);
  }
  CHECK(told.contains(""));
  const troupe::apps::Definition all;
  using troupe::apps::commands_of;
  for (const auto* command : commands_of(all.app)) {
    const std::string name = command->get_name();
    CAPTURE(name);
    CHECK(told.contains(name));
    for (const auto* sub : commands_of(*command)) CHECK(told.contains(name + " " + sub->get_name()));
  }
}

}  // namespace
