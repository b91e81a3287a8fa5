(** CERTIFICATE.md, section 6: what the premises of a step state, and at which margins. *)

From Coq Require Import ZArith List Lia Bool.
From Compact Require Import Integer.Tables Facts.
Import ListNotations.
Open Scope Z_scope.

Definition same_margin (a b : fraction) : bool := (fst a =? fst b) && (snd a =? snd b).

Lemma same_margin_eq : forall a b, same_margin a b = true -> a = b.
Proof. intros [a b] [c d] E. unfold same_margin in E. cbn in E. rewrite andb_true_iff, !Z.eqb_eq in E. now destruct E as [-> ->]. Qed.

(** Each at the margin of the step, unless its rule takes any. [proved] holds the latest fact first. *)
Fixpoint find_premises {F : Type} (proved : list (fraction * F)) (any : bool) (here : fraction) (numbers : list Z) : outcome (list (fraction * F)) :=
  match numbers with
  | [] => Fine []
  | n :: rest =>
      require ((0 <=? n) && (n <? Z.of_nat (length proved))) bad_premise
      match nth_error proved (length proved - 1 - Z.to_nat n) with
      | None => Refused bad_premise
      | Some (its_margin, f) =>
          require (any || same_margin its_margin here) wrong_margin
          match find_premises proved any here rest with Fine more => Fine ((its_margin, f) :: more) | Refused why => Refused why end
      end
  end.

Lemma find_premises_sound : forall (F : Type) (meant : fraction * F -> Prop) proved any here numbers premises, Forall meant proved ->
  find_premises proved any here numbers = Fine premises -> Forall meant premises /\ Forall (fun one => any = true \/ fst one = here) premises.
Proof.
  intros F meant proved any here. induction numbers as [|n rest IH]; intros premises all E; cbn [find_premises] in E; [inversion E; split; constructor|].
  apply require_fine in E. destruct E as [_ E].
  destruct (nth_error proved _) as [[its_margin f]|] eqn:N; [|discriminate].
  apply require_fine in E. destruct E as [same E].
  destruct (find_premises proved any here rest) as [more|]; [|discriminate]. inversion E; subst.
  destruct (IH more all eq_refl) as [A B]. apply nth_error_In in N. rewrite Forall_forall in all.
  split; constructor; try assumption; [exact (all _ N)|]. cbn [fst]. apply orb_prop in same. destruct same as [yes|same]; [now left | right; now apply same_margin_eq].
Qed.
