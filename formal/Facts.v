(** CERTIFICATE.md, section 4: facts about max-of-k, what they mean, and when a stated one follows from a derived one. *)

From Coq Require Import Reals ZArith List Lia Bool.
From Compact Require Import Spec.Model Count.Counting.
Import ListNotations.
Open Scope Z_scope.

(** The last token. *)
Definition query (M : model) (t : list nat) : nat := nth (n_ctx M - 1) t 0%nat.

(** How many of the other positions hold a token other than the label. *)
Definition others (M : model) (t : list nat) : nat :=
  length (filter (fun token => negb (Nat.eqb token (label t))) (firstn (n_ctx M - 1) t)).

(** Of the sequences with this label, a query of the set [queries] and a number [others] of the set [ns], at least
    [right] are correct and at least [missed] are not. Sets are bit masks. *)
Record entry_of_tally := Entry { of_label : Z; queries : Z; ns : Z; right : Z; missed : Z }.

Definition in_region (M : model) (e : entry_of_tally) (t : list nat) : Prop :=
  Z.of_nat (label t) = of_label e /\ Z.testbit (queries e) (Z.of_nat (query M t)) = true /\
  Z.testbit (ns e) (Z.of_nat (others M t)) = true.

Definition entry_true (M : model) (margin : R) (e : entry_of_tally) : Prop :=
  at_least (right e) (fun t => correct M margin t /\ in_region M e t) /\
  at_least (missed e) (fun t => wrong M margin t /\ in_region M e t).

Inductive fact :=
| Tally (counts : list entry_of_tally)
| Accuracy (right missed : Z).

Definition holds (M : model) (margin : R) (f : fact) : Prop :=
  match f with
  | Tally counts => Forall (entry_true M margin) counts
  | Accuracy c w => at_least c (correct M margin) /\ at_least w (wrong M margin)
  end.

(** ** Refusals *)

Inductive refusal :=
| bad_premise | wrong_margin | wrong_premises | wrong_shape | count_too_large | wrong_region | no_such_region
| region_covered_twice | nothing_proved | over_budget | out_of_range | bad_weights.

Inductive outcome (A : Type) := Fine (a : A) | Refused (why : refusal).
Arguments Fine {A}.
Arguments Refused {A}.

Definition require {A : Type} (test : bool) (why : refusal) (next : outcome A) : outcome A :=
  if test then next else Refused why.

Lemma require_fine : forall (A : Type) test why (next : outcome A) a,
  require test why next = Fine a -> test = true /\ next = Fine a.
Proof. intros A [] why next a E; [now split | discriminate]. Qed.

(** ** Entailment *)

Fixpoint tally_entails (derived stated : list entry_of_tally) : outcome unit :=
  match derived, stated with
  | [], [] => Fine tt
  | d :: derived', s :: stated' =>
      require ((of_label d =? of_label s) && (queries d =? queries s) && (ns d =? ns s)) wrong_region
        (require ((right s <=? right d) && (missed s <=? missed d)) count_too_large (tally_entails derived' stated'))
  | _, _ => Refused wrong_shape
  end.

Definition entails (derived stated : fact) : outcome unit :=
  match derived, stated with
  | Tally d, Tally s => require (Nat.eqb (length d) (length s)) wrong_shape (tally_entails d s)
  | Accuracy c w, Accuracy c' w' => require ((c' <=? c) && (w' <=? w)) count_too_large (Fine tt)
  | _, _ => Refused wrong_premises
  end.

Lemma tally_entails_sound : forall M margin d s,
  tally_entails d s = Fine tt -> Forall (entry_true M margin) d -> Forall (entry_true M margin) s.
Proof.
  induction d as [|d derived IH]; intros [|s stated] E all; try discriminate; constructor.
  - cbn in E. apply require_fine in E. destruct E as [same E]. apply require_fine in E. destruct E as [less _].
    rewrite !andb_true_iff, !Z.eqb_eq, !Z.leb_le in *. destruct same as [[L Q] N]. destruct less as [C W].
    inversion all as [|? ? [A B] _]; subst. unfold entry_true, in_region in *. rewrite <- L, <- Q, <- N.
    split; [apply at_least_weaken with (1 := A) | apply at_least_weaken with (1 := B)]; auto.
  - cbn in E. apply require_fine in E. destruct E as [_ E]. apply require_fine in E. destruct E as [_ E].
    inversion all; subst. now apply IH.
Qed.

Lemma entails_sound : forall M margin d s, entails d s = Fine tt -> holds M margin d -> holds M margin s.
Proof.
  intros M margin [d|c w] [s|c' w'] E H; try discriminate; cbn in *; apply require_fine in E; destruct E as [T E].
  - now apply tally_entails_sound with d.
  - rewrite andb_true_iff, !Z.leb_le in T. destruct T, H as [A B].
    split; [apply at_least_weaken with (1 := A) | apply at_least_weaken with (1 := B)]; auto.
Qed.
