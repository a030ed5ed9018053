# Not tried here. For `pkgs.callPackage ./scripts/dist/nix { }` in a checkout.
{ lib, rustPlatform, installShellFiles }:

rustPlatform.buildRustPackage {
  pname = "objguard";
  version = "0.1.0";

  src = lib.cleanSource ../../..;
  cargoLock.lockFile = ../../../Cargo.lock;

  # They run compilers by absolute path and install what they need.
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];

  # No links for masquerading: nixpkgs' compilers are wrappers that are named by CC.
  postInstall = ''
    ln -s objguard-cc $out/bin/objguard-c++
    mkdir man
    $out/bin/objguard man man
    installManPage man/*.1
    for shell in bash zsh fish; do
      $out/bin/objguard completions $shell > objguard.$shell
    done
    installShellCompletion objguard.bash objguard.fish --zsh objguard.zsh
  '';

  meta = {
    description = "Compiler wrapper that makes parallel builds right";
    license = with lib.licenses; [ mit asl20 ];
    platforms = lib.platforms.linux;
    mainProgram = "objguard";
  };
}
