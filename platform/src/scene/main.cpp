#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <thread>

#include "args.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/platform/parallel_runner.hpp"
#include "troupe/platform/scene.hpp"

// The options of a program of scenes, and its two halves: the one that spreads, and the child that plays.
namespace troupe::platform {

namespace {

constexpr const char* usage =
    "options:\n"
    "  --platform P[,Q]     platforms by name or path (default a2a3sim,a5sim)\n"
    "  --device 0-3,6       devices, one scene each at a time (default: one scene per processor, on those "
    "there are)\n"
    "  --any-device         their numbers are places: they share the devices that there are\n"
    "  --case SCENE[::CASE] only these; repeatable\n"
    "  --manual MODE        manual cases: exclude (default), include, only\n"
    "  --rounds N           run each case N times in one process\n"
    "  --timeout SECONDS    per case (default 600)\n"
    "  --retries N          fresh tries for what failed or did not finish (default 1)\n"
    "  --skip-golden        do not compare outputs\n"
    "  -x                   start nothing more after a failure\n"
    "  --list               print the cases and leave\n"
    "exit code: 0 all pass, or are skipped as what the platform cannot run, 1 a case fails,\n"
    "124 a case ran out of time, 2 bad options, 4 nothing was played\n";

constexpr int nothing_played = 4;

struct Choice {
  std::vector<std::string> platforms{"a2a3sim", "a5sim"};
  std::vector<int> devices;
  bool any_device = false;  ///< nobody named them: those that the platform has
  std::vector<std::string> cases;
  std::string manual = "exclude";
  int rounds = 1, retries = 1, timeout_s = 600;
  bool golden = true, fail_fast = false, list = false;
  int child_of = 0;  // not 0: play one case here, for the process of this number
};

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(','), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// "0-3,6"
std::optional<std::vector<int>> device_list(std::string_view text) {
  std::vector<int> devices;
  for (const auto& part : split(text)) {
    const auto dash = part.find('-');
    const auto first = number(std::string_view{part}.substr(0, dash));
    const auto last = dash == std::string::npos ? first : number(std::string_view{part}.substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first > 4096) return std::nullopt;
    for (int device = *first; device <= *last; ++device) devices.push_back(device);
  }
  if (devices.empty()) return std::nullopt;
  return devices;
}

std::optional<Choice> parse(int argc, char** argv) {
  Choice choice;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--skip-golden") {
      choice.golden = false;
    } else if (word == "-x") {
      choice.fail_fast = true;
    } else if (word == "--list") {
      choice.list = true;
    } else if (word == "--any-device") {
      choice.any_device = true;
    } else if (i + 1 == argc) {
      return std::nullopt;  // all others take a value
    } else {
      const std::string_view value = argv[++i];
      const auto into = [&](int& target) {
        const auto parsed = number(value);
        if (parsed) target = *parsed;
        return parsed.has_value();
      };
      bool good = true;
      if (word == "--platform") {
        choice.platforms = split(value);
      } else if (word == "--device") {
        const auto devices = device_list(value);
        good = devices.has_value();
        if (good) choice.devices = *devices;
      } else if (word == "--case") {
        choice.cases.emplace_back(value);
      } else if (word == "--manual") {
        choice.manual = value;
        good = value == "exclude" || value == "include" || value == "only";
      } else if (word == "--rounds") {
        good = into(choice.rounds);
      } else if (word == "--timeout") {
        good = into(choice.timeout_s);
      } else if (word == "--retries") {
        good = into(choice.retries);
      } else if (word == "--child-of") {
        good = into(choice.child_of);
      } else {
        good = false;
      }
      if (!good) return std::nullopt;
    }
  }
  if (choice.devices.empty()) {
    choice.any_device = true;
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
      choice.devices.push_back(static_cast<int>(i));
    }
  }
  return choice;
}

struct Chosen {
  const Scene* scene;
  const SceneCase* scene_case;
  std::string platform;
  std::string name() const { return platform + "::" + scene->name + "::" + scene_case->name; }
};

bool wanted(const Choice& choice, const Scene& scene, const SceneCase& one) {
  if (choice.cases.empty()) return true;
  return std::any_of(choice.cases.begin(), choice.cases.end(), [&](const std::string& filter) {
    return filter == scene.name || filter == scene.name + "::" + one.name;
  });
}

std::vector<Chosen> choose(const Choice& choice, const std::vector<Scene>& scenes) {
  std::vector<Chosen> chosen;
  for (const auto& platform : choice.platforms) {
    for (const auto& scene : scenes) {
      for (const auto& one : scene.cases) {
        if (!wanted(choice, scene, one)) continue;
        if (one.manual ? choice.manual == "exclude" : choice.manual == "only") continue;
        if (!one.platforms.empty() &&
            std::find(one.platforms.begin(), one.platforms.end(), platform) == one.platforms.end()) {
          continue;
        }
        chosen.push_back({&scene, &one, platform});
      }
    }
  }
  return chosen;
}

/// The end of the process that spreads the cases is the end of this one, Ctrl-C and kill -9 included.
bool end_with(pid_t parent) { return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent; }

int play_here(const Choice& choice, const Chosen& chosen, const troupe_module_v1& module) {
  const auto verdict =
      run_scene(*chosen.scene, *chosen.scene_case, chosen.platform,
                ScenePlace{choice.devices.front(), choice.any_device}, module, choice.rounds, choice.golden);
  if (verdict) return 0;
  if (verdict.error() == Errc::unsupported) {
    std::printf("%s\n", verdict.error().message().c_str());
    return nothing_played;
  }
  std::printf("%s\n", render(verdict.error()).c_str());
  return 1;
}

/// What was asked for and could not be printed was not answered.
int printed(int answer) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return answer;
  std::fprintf(stderr, "standard output cannot be written\n  hint: is the disk full?\n");
  return answer == 0 ? 3 : answer;
}

}  // namespace

int scene_main(int argc, char** argv, const troupe_module_v1& module, const std::vector<Scene>& scenes,
               const std::vector<std::string>& again) {
  const auto choice = parse(argc, argv);
  if (!choice) {
    std::fprintf(stderr, "usage: %s [options]\n%s", argc > 0 ? argv[0] : "scenes", usage);
    return 2;
  }
  const auto chosen = choose(*choice, scenes);
  if (chosen.empty()) {
    std::fprintf(stderr, "no case is chosen; --list shows what there is\n");
    return 2;
  }
  if (choice->list) {
    for (const auto& one : chosen) std::printf("%s\n", one.name().c_str());
    return printed(0);
  }
  if (choice->child_of != 0) {
    if (!end_with(choice->child_of)) return 2;
    return play_here(*choice, chosen.front(), module);
  }

  std::vector<RunnerJob> jobs;
  jobs.reserve(chosen.size());
  for (const auto& one : chosen) {
    jobs.push_back({one.name(), [&choice, &again, one](int device) {
                      auto command = again;
                      const auto add = [&command](std::initializer_list<std::string> words) {
                        command.insert(command.end(), words);
                      };
                      add({"--child-of", std::to_string(getpid()), "--platform", one.platform});
                      add({"--device", std::to_string(device)});
                      if (choice->any_device) add({"--any-device"});
                      add({"--case", one.scene->name + "::" + one.scene_case->name});
                      add({"--manual", "include", "--rounds", std::to_string(choice->rounds)});
                      if (!choice->golden) command.emplace_back("--skip-golden");
                      return command;
                    }});
  }
  RunnerOptions options;
  options.devices = choice->devices;
  options.timeout = std::chrono::seconds{choice->timeout_s};
  options.retries = choice->retries;
  options.fail_fast = choice->fail_fast;
  options.skip_code = nothing_played;
  const auto summary = run_in_parallel(jobs, options);
  std::printf("%zu passed, %zu failed, %zu not run", summary.passed, summary.failed.size(),
              summary.not_run.size());
  if (!summary.skipped.empty()) std::printf(", %zu skipped", summary.skipped.size());
  std::printf("\n");
  for (const auto& name : summary.flaky) std::printf("flaky: %s\n", name.c_str());
  for (const auto& name : summary.failed) std::printf("failed: %s\n", name.c_str());
  return printed(summary.skipped.size() == jobs.size() ? nothing_played : summary.exit_code());
}

}  // namespace troupe::platform
