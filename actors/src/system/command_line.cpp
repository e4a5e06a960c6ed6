#include "system/command_line.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <span>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::actors {
namespace {

constexpr std::string_view device_prefix = "device.";

Error refused(const std::string& where, const std::string& what, const std::string& hint = {}) {
  return Error(Errc::bad_argument, where + ": " + what, hint);
}

/// One value: what was written, and where, for whom it cannot be read.
struct Value {
  std::string where;
  std::string text;

  int number(int least, int most = 65536) const {
    int value = 0;
    const char* end = text.data() + text.size();
    const auto [stopped, problem] = std::from_chars(text.data(), end, value);
    if (problem != std::errc{} || stopped != end || value < least || value > most) {
      throw refused(where, "\"" + text + "\" is not a number from " + std::to_string(least) + " to " +
                               std::to_string(most));
    }
    return value;
  }

  bool yes() const {
    if (text == "1") return true;
    if (text == "0") return false;
    throw refused(where, "\"" + text + "\" is neither 0 nor 1");
  }

  int log_level() const {
    constexpr std::array<std::string_view, 5> words{"none", "error", "warning", "info", "debug"};
    for (std::size_t level = 0; level < words.size(); ++level) {
      if (text == words[level] || text == std::to_string(level)) return static_cast<int>(level);
    }
    throw refused(where, "\"" + text + "\" is not a log level",
                  "error, warning, info, debug, or none; or their numbers");
  }
};

/// The one of the command line instead of the file's.
void set_device_option(CommandLine& to, std::string_view name, std::string value) {
  auto& options = to.node.device_options;
  std::erase_if(options, [&](const auto& known) { return known.first == name; });
  options.emplace_back(name, std::move(value));
}

struct Setting {
  std::string_view name;
  void (*set)(CommandLine& to, const Value& value);
  bool is_switch = false;  ///< --name alone turns it on; a value needs the form --name=value
};

constexpr Setting settings[] = {
    {"platform", [](CommandLine& to, const Value& value) { to.node.platform = value.text; }},
    {"chips", [](CommandLine& to, const Value& value) { to.node.chips = value.number(0, most_executors); }},
    {"first-device", [](CommandLine& to, const Value& value) { to.node.first_device = value.number(0); }},
    {"checked",
     [](CommandLine& to, const Value& value) { set_device_option(to, "checked", value.yes() ? "1" : "0"); },
     true},
    {"isolate", [](CommandLine& to, const Value& value) { to.node.own_process = value.yes(); }, true},
    {"sub-workers",
     [](CommandLine& to, const Value& value) { to.node.sub_workers = value.number(0, most_executors); }},
    {"credit", [](CommandLine& to,
                  const Value& value) { to.node.credit = static_cast<std::uint32_t>(value.number(1)); }},
    {"max-runs", [](CommandLine& to,
                    const Value& value) { to.node.max_runs = static_cast<std::uint32_t>(value.number(1)); }},
    {"threads",
     [](CommandLine& to, const Value& value) {
       to.system.threads = static_cast<std::size_t>(value.number(0, 4096));
     }},
    {"log-level", [](CommandLine& to, const Value& value) { to.system.log_level = value.log_level(); }},
    {"log-file", [](CommandLine& to, const Value& value) { to.system.log_file = value.text; }},
    {"trace", [](CommandLine& to, const Value& value) { to.system.trace_file = value.text; }},
};

/// What there is instead of `written`, with what may have been meant by it; `before`: what stands before
/// names in that place.
std::string names(std::string_view written, std::span<const std::string_view> own,
                  const std::string& before) {
  std::vector<std::string> known;
  std::string all;
  for (const auto& setting : settings) {
    known.push_back(before + std::string(setting.name));
    all += std::string(setting.name) + ", ";
  }
  for (const auto name : own) known.push_back(before + std::string(name));
  if (!before.empty()) known.push_back(before + "config");
  return runtime::did_you_mean(before + std::string(written), known) + "there are: " + all +
         "device.NAME (an option of the chips)";
}

bool is_setting(std::string_view name) {
  return (name.starts_with(device_prefix) && name.size() > device_prefix.size()) ||
         std::any_of(std::begin(settings), std::end(settings),
                     [&](const Setting& setting) { return setting.name == name; });
}

bool is_switch(std::string_view name) {
  return std::any_of(std::begin(settings), std::end(settings),
                     [&](const Setting& setting) { return setting.is_switch && setting.name == name; });
}

/// `name` is a setting.
void apply(CommandLine& to, std::string_view name, const Value& value) {
  for (const auto& setting : settings) {
    if (setting.name == name) return setting.set(to, value);
  }
  set_device_option(to, name.substr(device_prefix.size()), value.text);
}

constexpr auto once = "which one is meant? the command line overrides the configuration file";

/// What one place (the command line, the file) has given so far. `checked` is an option of the chips by a
/// shorter name.
class Given {
 public:
  bool before(std::string_view name) {
    return !names_.emplace(name == "checked" ? "device.checked" : name).second;
  }

 private:
  std::set<std::string> names_;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r";
  const auto first = text.find_first_not_of(blank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(blank) + 1 - first);
}

/// What stands in a configuration file: a file, or a pipe such as a shell makes of <(…). Not of what has no
/// end, or is far too long.
std::istringstream text_of_file(const std::string& path) {
  constexpr std::size_t most = std::size_t{1} << 20U;
  const std::string where = "configuration file " + path;
  const auto failed = [&] { return refused(where, std::generic_category().message(errno)); };
  const comm::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts {};
  if (!file.valid() || ::fstat(file.get(), &facts) != 0) throw failed();
  const bool device = S_ISCHR(facts.st_mode) || S_ISBLK(facts.st_mode);
  if (device && path != "/dev/null")
    throw refused(where, "a device, not a file", "a configuration file has lines of the form name = value");
  std::string text;
  std::array<char, 4096> piece;
  for (;;) {
    const auto came = ::read(file.get(), piece.data(), piece.size());
    if (came < 0 && errno == EINTR) continue;
    if (came < 0) throw failed();  // of a folder, too
    if (came == 0) return std::istringstream(text);
    text.append(piece.data(), static_cast<std::size_t>(came));
    if (text.size() > most)
      throw refused(where, "more than 1 MiB, which is the most that is read",
                    "a configuration file has lines of the form name = value");
  }
}

void read_file(CommandLine& to, const std::string& path) {
  auto file = text_of_file(path);
  std::string line;
  Given given;
  for (int number = 1; std::getline(file, line); ++number) {
    const auto text = trimmed(line);
    if (text.empty() || text.front() == '#') continue;
    const std::string where = path + ":" + std::to_string(number);
    const auto equals = text.find('=');
    if (equals == text.npos) throw refused(where, "not of the form name = value");
    const std::string name(trimmed(text.substr(0, equals)));
    if (!is_setting(name)) {
      throw refused(where, "\"" + name + "\" is not a setting", names(name, {}, ""));
    }
    if (given.before(name)) throw refused(where, "\"" + name + "\" is given twice", once);
    apply(to, name, {where, std::string(trimmed(text.substr(equals + 1)))});
  }
}

/// Calls `take(name, value)` for each argument that has the form of an option, `other` for the rest. A name
/// whose value stands in the next argument takes that one only if `take` knows the name. A switch has no
/// value but one behind `=`.
template <class Take, class Other>
void each_option(int argc, const char* const* argv, const Take& take, const Other& other) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--") return;  // what follows is not ours by agreement
    if (!argument.starts_with("--")) {
      other(argument);
      continue;
    }
    const auto equals = argument.find('=');
    const auto name = argument.substr(2, equals == argument.npos ? equals : equals - 2);
    if (equals != argument.npos) {
      (void)take(name, std::optional<std::string>(argument.substr(equals + 1)));
    } else if (is_switch(name)) {
      (void)take(name, std::optional<std::string>("1"));
    } else if (take(name, i + 1 < argc ? std::optional<std::string>(argv[i + 1]) : std::nullopt)) {
      ++i;
    }
  }
}

/// `-chips 4` is none of the program's own arguments: it would run with one chip.
void refuse_one_dash(std::string_view argument, std::span<const std::string_view> own) {
  if (!argument.starts_with('-')) return;
  const auto name = argument.substr(1, argument.find('=') - 1);
  if (std::find(own.begin(), own.end(), name) != own.end()) return;
  if (name != "config" && !is_setting(name)) return;
  throw refused("-" + std::string(name), "options of troupe begin with two hyphens",
                "did you mean --" + std::string(name) +
                    "? arguments of the program's own stand behind --, or their option is named to System");
}

std::string required(std::string_view name, const std::optional<std::string>& value) {
  if (!value) throw refused("--" + std::string(name), "a value is missing");
  return *value;
}

}  // namespace

CommandLine read_command_line(int argc, const char* const* argv, std::span<const std::string_view> own) {
  CommandLine line;
  Given given;
  const auto configure = [&](std::string_view name, const std::optional<std::string>& value) {
    if (name != "config") return false;
    if (given.before(name)) throw refused("--config", "given twice", once);
    read_file(line, required(name, value));
    return true;
  };
  const auto set = [&](std::string_view name, const std::optional<std::string>& value) {
    if (name == "config") return true;
    if (std::find(own.begin(), own.end(), name) != own.end()) return false;
    if (!is_setting(name)) {
      throw refused(
          "--" + std::string(name), "troupe has no such setting",
          names(name, own, "--") + "; options of the program's own are named to System, or stand behind --");
    }
    if (given.before(name)) throw refused("--" + std::string(name), "given twice", once);
    apply(line, name, {"--" + std::string(name), required(name, value)});
    return true;
  };
  each_option(argc, argv, configure, [](std::string_view) {});
  each_option(argc, argv, set, [&](std::string_view argument) { refuse_one_dash(argument, own); });
  return line;
}

}  // namespace troupe::actors
