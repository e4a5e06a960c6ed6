// The module of this project on simulated chips, or on the platform that is named: on_platform [PLATFORM]
#include <troupe/troupe.hpp>

#include <cstdio>
#include <string>

int main(int argc, char** argv) try {
  const std::string platform = argc > 1 ? argv[1] : "a2a3sim";
  troupe::System system;
  auto node = system.node({.platform = platform, .chips = 2});
  node.load(KERNELS);  // the module file of this project
  float answer = 0;
  node.run([&](troupe::Orchestrator& o) {
    auto x = o.tensor<float>({1000}, 21.0f);
    o.submit("twice", inout(x));
    answer = o.read_all<float>(x).get().back();
    o.submit_sub([](troupe::HostArgs&) { std::puts("hello from a task"); });
  });
  std::printf("the answer is %g\n", answer);
  return answer == 42 ? 0 : 1;
} catch (const troupe::Error& error) {
  std::puts(render(error).c_str());
  return 1;
}
