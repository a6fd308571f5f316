// `hone package`: the packaged program, encryption and signature.
#include "workspace.hpp"

namespace hone {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace workspace;

TEST(Package, packages_a_program_that_classifies) {
  const Outcome p = hone_run("package " + model() + " --out " + at("app") + " --no-verify --force --json");
  ASSERT_EQ(p.code, 0) << p.err;
  for (const char* f : {"model.hone", "labels.txt", "model_card.json", "model_card.md", "manifest.json", "classify.cpp",
                        "CMakeLists.txt", "bin/classify"}) {
    EXPECT_TRUE(fs::exists(at("app/" + std::string(f)))) << f;
  }
  const Outcome c = shell(at("app/bin/classify") + " --top 3 " + at("photos/disc/0.png"));
  ASSERT_EQ(c.code, 0) << c.err;
  EXPECT_EQ(lines(c.out), 3u);
  // The same first label as the toolkit's.
  const json t = hone_run("predict " + model() + " " + at("photos/disc/0.png") + " --precision f32 --json").parsed();
  EXPECT_EQ(c.out.substr(0, c.out.find('\t')), t["results"][0]["predictions"][0]["label"].get<std::string>());
  expect_refused(shell(at("app/bin/classify") + " " + at("app/labels.txt")), 1, "labels.txt");
}

TEST(Package, encrypts_and_signs_packages) {
  if (shell("openssl version && ls /usr/lib/*/libcrypto.so.3").code != 0)
    GTEST_SKIP() << "needs openssl and libcrypto.so.3 (Debian: openssl)";
  const std::string key = at("model.key"), other = at("other.key"), sign = at("sign.pem"), open = at("sign.pub.pem");
  ASSERT_EQ(shell("openssl rand -hex 32 > " + key + "; openssl rand -hex 32 > " + other +
                  "; openssl genpkey -algorithm ed25519 -out " + sign + "; openssl pkey -in " + sign +
                  " -pubout -out " + open)
                .code,
            0);
  const Outcome p = hone_run("package " + model() + " --out " + at("sealed") +
                             " --no-verify --force --json --encrypt " + key + " --sign " + sign);
  ASSERT_EQ(p.code, 0) << p.err;
  EXPECT_EQ(p.parsed()["files"].back()["path"], "manifest.sig");
  const std::string classify = at("sealed/bin/classify") + " " + at("photos/disc/0.png");
  const Outcome c = shell(classify + " --key " + key);
  ASSERT_EQ(c.code, 0) << c.err;
  const json t = hone_run("predict " + model() + " " + at("photos/disc/0.png") + " --precision f32 --json").parsed();
  EXPECT_EQ(c.out.substr(0, c.out.find('\t')), t["results"][0]["predictions"][0]["label"].get<std::string>());
  EXPECT_EQ(shell("HONE_KEY_FILE=" + key + " " + classify).out, c.out);
  expect_refused(shell(classify), 1, "no key was given");
  expect_refused(shell(classify + " --key " + other), 1, "the key does not fit");
  expect_refused(shell(classify + " --key " + sign), 1, "64 hexadecimal digits");

  const std::string inspect = "inspect " + at("sealed") + " --verify " + open;
  const Outcome v = hone_run(inspect + " --key " + key + " --json");
  ASSERT_EQ(v.code, 0) << v.err;
  EXPECT_TRUE(v.parsed()["verified"].get<bool>());
  // The signature is plain Ed25519: other tools read it too.
  EXPECT_EQ(shell("openssl pkeyutl -verify -pubin -inkey " + open + " -rawin -in " + at("sealed/manifest.json") +
                  " -sigfile " + at("sealed/manifest.sig"))
                .code,
            0);
  expect_refused(hone_run(inspect + " --key " + other), 1, "the key does not fit");
  const std::string manifest = read_text_file(at("sealed/manifest.json")),
                    sealed = read_text_file(at("sealed/model.hone"));
  write_file(at("sealed/manifest.json"), manifest + " ");
  expect_refused(hone_run(inspect), 1, "the signature does not fit");
  write_file(at("sealed/manifest.json"), manifest);
  std::string flipped = sealed;
  flipped[sealed.size() / 2] ^= 1;
  write_file(at("sealed/model.hone"), flipped);
  expect_refused(hone_run(inspect), 1, "model.hone");
  expect_refused(shell(classify + " --key " + key), 1, "damaged");
  write_file(at("sealed/model.hone"), sealed);
  write_file(at("sealed/extra.txt"), "x");
  expect_refused(hone_run(inspect), 1, "extra.txt");
  fs::remove(at("sealed/extra.txt"));
  fs::remove(at("sealed/labels.txt"));
  expect_refused(hone_run(inspect), 1, "labels.txt");
  fs::remove(at("sealed/manifest.sig"));
  expect_refused(hone_run(inspect), 1, "not signed");
  // Key files that are none are refused before any work.
  expect_refused(hone_run("package " + model() + " --out " + at("none") + " --encrypt " + open), 3,
                 "64 hexadecimal digits");
  expect_refused(hone_run("package " + model() + " --out " + at("none") + " --sign " + key), 3, "Ed25519");
  EXPECT_FALSE(fs::exists(at("none")));
}

}  // namespace hone
