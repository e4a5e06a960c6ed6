#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/conformance/conformance.hpp"
#include "troupe/platform/child_processes.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/platform/nodes.hpp"
#include "troupe/runtime/module.hpp"

// troupe-conformance: does this library do what a platform has to do?
// Each rule runs in a child process, so that a library that crashes or hangs fails that rule and no other.
namespace {

using namespace troupe;

constexpr const char* usage =
    "usage: troupe-conformance --library PATH [--module FILE] [--foreign FILE] [--rule NAME]... [--list]\n"
    "  --library PATH   the platform library, or a platform's name (a2a3sim)\n"
    "  --module FILE    a module with the suite's kernels, for devices that cannot run this program's own\n"
    "  --foreign FILE   an object with kernel_entry: c = a + b + s, for the rule foreign-bytes\n"
    "  --device N       on this device (default 0)\n"
    "  --option N=V     an option of every context, as set_device_option has it; repeatable\n"
    "  --isolate        each context in a process of its own (needs --module)\n"
    "  --over-node      each context a chip of a node, which this program then is (needs --module)\n"
    "  --rule NAME      only this rule; repeatable\n"
    "  --timeout N      seconds that one rule may take (default 120)\n"
    "  --list           print the rules and leave\n"
    "exit code: 0 every rule passes or does not apply, 1 a rule fails, 2 the library cannot be loaded,\n"
    "           4 the library has no device here\n";

// What a child tells by its exit code.
constexpr int child_pass = 0, child_fail = 1, child_skip = 3;
constexpr int no_device = 4;

struct Options {
  std::string library, module, foreign, node;
  std::vector<std::string> rules, options;
  long timeout_s = 120;
  std::int32_t device = 0;
  bool list = false, child = false, isolate = false, over_node = false;
};

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--list") {
      options.list = true;
    } else if (word == "--isolate") {
      options.isolate = true;
    } else if (word == "--in-this-process") {
      options.child = true;
    } else if (word == "--library" && has_value) {
      options.library = argv[++i];
    } else if (word == "--module" && has_value) {
      options.module = argv[++i];
    } else if (word == "--foreign" && has_value) {
      options.foreign = argv[++i];
    } else if (word == "--over-node") {
      options.over_node = true;
    } else if (word == "--node" && has_value) {
      options.node = argv[++i];
    } else if (word == "--option" && has_value) {
      options.options.emplace_back(argv[++i]);
    } else if (word == "--rule" && has_value) {
      options.rules.emplace_back(argv[++i]);
    } else if (word == "--device" && has_value) {
      options.device = static_cast<std::int32_t>(std::strtol(argv[++i], nullptr, 10));
    } else if (word == "--timeout" && has_value) {
      options.timeout_s = std::strtol(argv[++i], nullptr, 10);
    } else {
      return false;
    }
  }
  return options.list || !options.library.empty();
}

/// What the options name, loaded. The module stays loaded for the life of the process.
Result<conformance::Materials> load(const Options& options) {
  conformance::Materials materials;
  materials.device = options.device;
  if (!options.module.empty()) {
    const auto module = runtime::Module::open(options.module);
    if (!module) return module.error();
    materials.module = module->raw();
  }
  if (!options.foreign.empty()) {
    std::ifstream file(options.foreign, std::ios::binary);
    materials.foreign.assign(std::istreambuf_iterator<char>(file), {});
    if (materials.foreign.empty()) {
      return Error(platform::Errc::load_failed, "cannot read '" + options.foreign + "'");
    }
  }
  for (const auto& option : options.options) {
    const auto equals = option.find('=');
    if (equals == std::string::npos) {
      return Error(platform::Errc::unknown_option, "--option '" + option + "' is not NAME=VALUE");
    }
    materials.options.emplace_back(option.substr(0, equals), option.substr(equals + 1));
  }
  return materials;
}

/// The table that the rules are run on.
Result<platform::DeviceApi> table(const Options& options, const platform::DeviceLibrary& library) {
  if (!options.node.empty()) {
    platform::RemoteChip chip;
    chip.node.address = options.node;
    chip.chip = -1;  // rules use several contexts
    chip.pod = platform::new_pod_number();
    chip.where = "conformance";
    return platform::remote(std::move(chip));
  }
  if (!options.isolate) return library.api();
  if (options.module.empty()) {
    return Error(platform::Errc::invalid_argument, "--isolate needs kernels from a module: --module FILE");
  }
  platform::IsolatedOptions isolated;
  isolated.library = library.path();
  isolated.where = "conformance";
  return platform::isolated(std::move(isolated));
}

/// Why the library has no device that could be checked; empty: it has one.
std::string why_no_device(const platform::DeviceApi& api) {
  auto* const context = api.create_device_context(nullptr);
  if (context == nullptr) return {};
  troupe_device_properties properties{};
  properties.size = sizeof(properties);
  std::array<char, 1024> text{};
  if (api.device_properties(context, &properties) == 0 && properties.device_count == 0 &&
      api.set_device(context, 0) != 0) {
    (void)api.device_last_error(context, nullptr, text.data(), text.size());
  }
  (void)api.destroy_device_context(context);
  return text.data();
}

/// The node that the rules are run over, at a socket of its own.
class Node {
 public:
  Result<std::string> start(const Options& options, const std::string& library) {
    std::string folder = "/tmp/troupe-conformance-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) return Error(platform::Errc::system, "cannot make " + folder);
    folder_ = folder;
    platform::NodeOptions node;
    node.listen = "unix:" + folder + "/node";
    node.platform = library;
    node.chips = 64;
    node.modules = {options.module};
    node.silence = std::chrono::seconds(60);
    auto started = platform::NodeServer::start(std::move(node));
    if (!started) return started.error();
    server_ = *std::move(started);
    return server_->address();
  }
  ~Node() {
    server_.reset();
    if (!folder_.empty()) ::rmdir(folder_.c_str());
  }

 private:
  std::string folder_;
  std::unique_ptr<platform::NodeServer> server_;
};

int run_here(const conformance::Rule& rule, const platform::DeviceApi& api,
             const conformance::Materials& materials) {
  const auto finding = conformance::check(rule, api, std::chrono::seconds{60}, materials);
  if (!finding.reason.empty()) std::printf("%s\n", finding.reason.c_str());
  std::fflush(stdout);
  // Leaves without destructors: a rule that failed may have left a kernel on some thread.
  std::_Exit(finding.verdict == conformance::Verdict::pass   ? child_pass
             : finding.verdict == conformance::Verdict::fail ? child_fail
                                                             : child_skip);
}

struct Totals {
  int passed = 0, failed = 0, skipped = 0;
};

void report(const conformance::Rule& rule, const platform::ChildEnd& end, std::string said, Totals& totals) {
  const auto print = [&](const char* verdict) {
    std::printf("%s %-26s %s\n", verdict, std::string{rule.name}.c_str(), std::string{rule.sentence}.c_str());
    if (!said.empty()) std::printf("     %s\n", said.c_str());
    std::fflush(stdout);
  };
  if (end.exit_code == child_pass) {
    ++totals.passed;
    print("PASS");
  } else if (end.exit_code == child_skip) {
    ++totals.skipped;
    print("skip");
  } else {
    ++totals.failed;
    if (end.exit_code != child_fail) said += (said.empty() ? "" : "; ") + platform::render(end);
    print("FAIL");
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fputs(usage, stderr);
    return 2;
  }
  std::vector<conformance::Rule> rules;
  for (const auto& rule : conformance::all_rules()) {
    bool wanted = options.rules.empty();
    for (const auto& name : options.rules) wanted = wanted || name == rule.name;
    if (wanted) rules.push_back(rule);
  }
  if (rules.empty()) {
    std::fputs("no rule has that name; see --list\n", stderr);
    return 2;
  }
  if (options.list) {
    for (const auto& rule : rules) {
      std::printf("%-26s %s\n", std::string{rule.name}.c_str(), std::string{rule.sentence}.c_str());
      if (rule.needs != 0)
        std::printf("%-26s needs %s\n", "", conformance::name_of_features(rule.needs).c_str());
    }
    return 0;
  }
  const auto library = platform::DeviceLibrary::open(options.library);
  if (!library) {
    std::fprintf(stderr, "%s\n", render(library.error()).c_str());
    return 2;
  }
  const auto materials = load(options);
  if (!materials) {
    std::fprintf(stderr, "%s\n", render(materials.error()).c_str());
    return 2;
  }
  const auto api = table(options, *library);
  if (!api) {
    std::fprintf(stderr, "%s\n", render(api.error()).c_str());
    return 2;
  }
  if (const auto why = options.child ? std::string{} : why_no_device(library->api()); !why.empty()) {
    std::printf("%s\n", why.c_str());
    return no_device;
  }
  if (options.child) return run_here(rules.front(), *api, *materials);

  Node node;
  if (options.over_node) {
    auto address = node.start(options, library->path());
    if (!address) {
      std::fprintf(stderr, "%s\n", render(address.error()).c_str());
      return 2;
    }
    options.node = *std::move(address);
  }
  std::printf("%s: device ABI %u.%u, %zu rules\n", library->path().c_str(), library->abi_version() >> 16,
              library->abi_version() & 0xFFFF, rules.size());
  Totals totals;
  platform::ChildProcesses children;
  for (const auto& rule : rules) {
    std::string said;
    platform::ChildProcesses::Request request;
    request.command = {"/proc/self/exe", "--in-this-process",   "--library", library->path(),
                       "--rule",         std::string{rule.name}};
    if (!options.module.empty()) request.command.insert(request.command.end(), {"--module", options.module});
    if (!options.foreign.empty())
      request.command.insert(request.command.end(), {"--foreign", options.foreign});
    if (options.isolate) request.command.emplace_back("--isolate");
    if (!options.node.empty()) request.command.insert(request.command.end(), {"--node", options.node});
    request.command.insert(request.command.end(), {"--device", std::to_string(options.device)});
    for (const auto& option : options.options) {
      request.command.insert(request.command.end(), {"--option", option});
    }
    request.timeout = std::chrono::seconds{options.timeout_s};
    request.on_line = [&](std::string_view line) {
      if (said.size() < 2000) said += (said.empty() ? "" : "\n     ") + std::string{line};
    };
    request.on_end = [&](const platform::ChildEnd& end) { report(rule, end, said, totals); };
    if (const auto started = children.start(std::move(request)); !started) {
      std::fprintf(stderr, "%s\n", render(started.error()).c_str());
      return 2;
    }
    children.run();
  }
  std::printf("%d passed, %d failed, %d do not apply\n", totals.passed, totals.failed, totals.skipped);
  return totals.failed == 0 ? 0 : 1;
}
