(** The mean loss that a claim with a profile bounds: CERTIFICATE.md, section 1. Only for such a claim it has to be read,
    after General.v. *)

From Coq Require Import Reals ZArith List.
From Compact Require Import Spec.Model Spec.General.
Import ListNotations.
Open Scope R_scope.

(** The cross entropy [- ln softmax(logits)_c] of the label c. *)
Definition loss (L : layer) (P : problem) (x : list nat) : R :=
  let c := Z.to_nat (right_answer P x) in
  - ln (exp (logit_at L x (readout P) c) / sum (outputs L) (fun y => exp (logit_at L x (readout P) y))).

(** Of all inputs, by weight. *)
Definition mean_loss_at_most (L : layer) (P : problem) (bound : R) : Prop :=
  exists xs, NoDup xs /\ (forall x, In x xs <-> (0 < weight_of_input (allowed P) x)%Z) /\
    fold_right (fun x rest => IZR (weight_of_input (allowed P) x) * loss L P x + rest) 0 xs <= bound * IZR (total_weight (allowed P) xs).
