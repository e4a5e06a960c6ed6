// What a process for each chip costs: the same programs on simulated chips in this process and in processes
// of their own, alternating in one run; how long such a chip takes until it is ready; and what 64 of them do
// while nothing happens. Medians.
//   bench_isolated [repeats]
#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using Clock = std::chrono::steady_clock;

namespace {

double seconds(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void independent(Orchestrator& node, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) node.submit(empty);
}
void with_tensors(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) node.submit(empty, in(x));
}
void chain(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) node.submit(empty, inout(x));
}
Program awaits(Orchestrator& node, int tasks) {
  const auto& empty = node.callable("bench_nothing");
  for (int i = 0; i < tasks; ++i) co_await node.submit(empty);
}

Node node_of(System& system, const std::string& name, bool isolated, int chips = 1) {
  NodeConfig config;
  config.name = name;
  config.chips = chips;
  config.own_process = isolated;
  auto node = system.node(config);
  node.load(TROUPE_BENCH_MODULE);
  return node;
}

void compare(const char* what, int units, int repeats, const Node& here, const Node& apart,
             const std::function<void(const Node&)>& body) {
  std::vector<double> in_process, isolated;
  body(here);
  body(apart);
  for (int i = 0; i < repeats; ++i) {
    auto begin = Clock::now();
    body(here);
    in_process.push_back(seconds(begin) / units * 1e6);
    begin = Clock::now();
    body(apart);
    isolated.push_back(seconds(begin) / units * 1e6);
  }
  const auto a = median(in_process), b = median(isolated);
  std::printf("%-40s in process %8.2f us   isolated %8.2f us (%.2f to %.2f)   in process / isolated %.2f\n",
              what, a, b, *std::min_element(isolated.begin(), isolated.end()),
              *std::max_element(isolated.begin(), isolated.end()), a / b);
}

/// From nothing to a device that is set.
void until_ready(int repeats) {
  auto host = std::make_shared<platform::HostThreads>();
  platform::IsolatedOptions options;
  options.library = "a2a3sim";
  const auto api = platform::isolated(options).value();
  std::vector<double> times;
  for (int i = 0; i < repeats * 4; ++i) {
    const auto begin = Clock::now();
    auto context = platform::DeviceContext::create(api, host).value();
    context.set_device(0).value();
    times.push_back(seconds(begin) * 1e3);
  }
  std::printf("%-40s %8.2f ms (%.2f to %.2f)   goal <= 30\n", "an isolated chip, until it is ready",
              median(times), *std::min_element(times.begin(), times.end()),
              *std::max_element(times.begin(), times.end()));
}

/// Processor time of this process and of those it has started, in seconds.
double processor_seconds() {
  double ticks = 0;
  const auto self = std::to_string(::getpid());
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const auto name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "stat");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto end = text.rfind(')');
    if (end == std::string::npos) continue;
    long parent = 0, user = 0, system = 0;
    char state = 0;
    if (std::sscanf(text.c_str() + end + 1, " %c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &state,
                    &parent, &user, &system) != 4)
      continue;
    if (name != self && parent != ::getpid()) continue;
    ticks += static_cast<double>(user + system);
  }
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

void idle(System& system) {
  const auto begin = Clock::now();
  auto node = node_of(system, "idle", true, 64);
  node.run([](Orchestrator& n) {
    for (int chip = 0; chip < n.chips(); ++chip) n.submit("bench_nothing", on_chip(chip));
  });
  std::printf("%-40s %8.2f s\n", "64 isolated chips, until each has run", seconds(begin));
  const auto cpu = processor_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(5));  // in which nobody asks for anything
  std::printf("%-40s %8.3f %% of a core, all processes together   goal 0\n", "64 isolated chips, idle",
              (processor_seconds() - cpu) / 5 * 100);
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const int repeats = argc > 1 ? std::max(1, std::atoi(argv[1])) : 7;
  System system;
  {
    const auto here = node_of(system, "here", false), apart = node_of(system, "apart", true);
    compare("independent, no tensors", 20000, repeats, here, apart,
            [](const Node& node) { node.run(independent, 20000); });
    auto x = here.tensor<float>({1}), y = apart.tensor<float>({1});
    const auto tensor_of = [&](const Node& node) { return node.name() == "here" ? x : y; };
    compare("independent, a tensor", 20000, repeats, here, apart,
            [&](const Node& node) { node.run(with_tensors, tensor_of(node), 20000); });
    compare("chain", 20000, repeats, here, apart,
            [&](const Node& node) { node.run(chain, tensor_of(node), 20000); });
    compare("awaited by a coroutine (goal <= 60)", 2000, repeats, here, apart,
            [](const Node& node) { node.run(awaits, 2000); });
  }
  until_ready(repeats);
  idle(system);
}
