(** The functions that Extract.v replaces, where replacements tend to differ: formal/Makefile compares what Coq computes
    with what the OCaml program does. *)

From Coq Require Import Extraction ExtrOcamlBasic ZArith List.
From Compact Require Import Extract.
Import ListNotations.
Open Scope Z_scope.

Definition numbers : list Z := [0; 1; -1; 2; -2; 3; -3; 7; -8; 63; -64; 2 ^ 62 - 1; 2 ^ 62; - 2 ^ 62; 2 ^ 63; - 2 ^ 63 - 1; 10 ^ 30; - 10 ^ 30].
Definition small : list Z := [0; 1; -1; 2; -3; 62; 63; 64; -65].
Definition of_bool (b : bool) : Z := if b then 1 else 0.

Definition one (f : Z -> Z) : list Z := map f numbers.
Definition two (second : list Z) (f : Z -> Z -> Z) : list Z := flat_map (fun a => map (f a) second) numbers.

Definition edge_cases : list (list Z) :=
  [one Z.opp; one Z.abs; one Z.log2; one Z.sqrt; one (fun n => Z.of_nat (Z.to_nat (Z.land n 255))); map Z.ones [0; 1; 5; 70];
   two numbers Z.add; two numbers Z.sub; two numbers Z.mul; two numbers Z.min; two numbers Z.max; two numbers Z.div; two numbers Z.modulo;
   two numbers Z.land; two numbers Z.lor; two small Z.shiftl; two small Z.shiftr; two [0; 1; 2; 3; -1] Z.pow;
   two numbers (fun a b => of_bool (a =? b)); two numbers (fun a b => of_bool (a <=? b));
   two numbers (fun a b => of_bool (a <? b)); two small (fun a i => of_bool (Z.testbit a i));
   map Z.of_nat [(2 - 3)%nat; (5 - 3)%nat; (2 + 3)%nat; (0 - 0)%nat; (0 + 3)%nat; (0 * 3)%nat; (3 * 5)%nat];
   map of_bool [Nat.eqb 2 3; Nat.eqb 3 3; Nat.leb 3 3; Nat.ltb 3 3; Nat.ltb 2 3; Nat.leb 4 3]].

Set Printing Width 1000000.
Set Printing Depth 1000000.
Eval vm_compute in edge_cases.
Extraction "build/edge_cases" edge_cases.
