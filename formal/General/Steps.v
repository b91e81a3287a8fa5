(** CERTIFICATE.md, section 6, for rules about any problem: each step is derived from facts of earlier steps; the last
    fact must entail the claim. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Spec.Loss Integer.Tables Facts Premises Kernel Regions.Groups.
From Compact Require Import General.Problem General.Statements General.Total Rules.regions Rules.region_gaps Rules.region_counts Rules.evaluate_inputs Rules.expected_loss.
Import ListNotations.
Open Scope Z_scope.

Inductive general_rule :=
| Apply_regions (bits : Z) (groups : list group) (hints : list (list (list Z)))
| Apply_region_gaps (hints : list (list (list Z)))
| Apply_region_counts (hints : list (list (list Z)))
| Apply_evaluate_inputs (precisions : list Z)
| Apply_expected_loss (bits : Z) (losses : list Z)
| Apply_total_of_weights.

(** A margin of its own, or that of the claim. *)
Record general_step := General_step { uses : general_rule; own_margin : option fraction; premise_numbers : list Z; concluded : statement }.

Section Steps.
Variables (w : layer_weights) (P : problem) (budget : Z) (margin : fraction).

Definition derive_statement (here : fraction) (r : general_rule) (premises : list (fraction * statement)) : outcome statement :=
  let facts := map snd premises in
  match r with
  | Apply_regions bits groups hints => require (Nat.eqb (length facts) 0) wrong_premises (regions w P bits groups hints)
  | Apply_region_gaps hints =>
      match facts with [Regions bits groups ranges] => region_gaps w P here bits groups ranges hints | _ => Refused wrong_premises end
  | Apply_region_counts hints =>
      match facts with [Region_gaps bits groups ranges gaps] => region_counts w P here budget bits groups ranges gaps hints | _ => Refused wrong_premises end
  | Apply_evaluate_inputs precisions => require (Nat.eqb (length facts) 0) wrong_premises (evaluate_inputs w P here budget precisions)
  | Apply_expected_loss bits losses => require (negb (Nat.eqb (length premises) 0)) wrong_premises (expected_loss w P here premises bits losses)
  | Apply_total_of_weights => total_of_weights w P facts
  end.

(** Whether its premises may be about other margins. *)
Definition takes_any_margin (r : general_rule) : bool := match r with Apply_expected_loss _ _ => true | _ => false end.

Definition prove_step (proved : list (fraction * statement)) (s : general_step) : outcome (fraction * statement) :=
  let here := match own_margin s with None => margin | Some own => own end in
  require (0 <? snd here) wrong_margin
  match find_premises proved (takes_any_margin (uses s)) here (premise_numbers s) with
  | Refused why => Refused why
  | Fine facts =>
      match derive_statement here (uses s) facts with
      | Refused why => Refused why
      | Fine derived =>
          match follows derived (concluded s) with Refused why => Refused why | Fine _ => Fine (here, concluded s) end
      end
  end.

Fixpoint prove_steps (proved : list (fraction * statement)) (steps : list general_step) : list (fraction * statement) + (refusal * nat) :=
  match steps with
  | [] => inl proved
  | s :: rest =>
      match prove_step proved s with
      | Refused why => inr (why, length proved)
      | Fine one => prove_steps (one :: proved) rest
      end
  end.

(** The counts of a claim, and if it has a profile its margins with theirs, and the mean loss. *)
Definition profile := option (list rung * fraction).

Definition claim_of (right missed : Z) (more : profile) : statement :=
  match more with None => Accuracy_of_weights right missed | Some (ladder, mean) => Profile_of_weights right missed ladder mean end.

Definition of_one_kind (f claim : statement) : bool :=
  match f, claim with Accuracy_of_weights _ _, Accuracy_of_weights _ _ => true | Profile_of_weights _ _ _ _, Profile_of_weights _ _ _ _ => true | _, _ => false end.

Definition check_general (steps : list general_step) (right missed : Z) (more : profile) : verdict :=
  if negb (problem_fits w P) then Not_verified bad_weights None else
  match prove_steps [] steps with
  | inr (why, number) => Not_verified why (Some number)
  | inl [] => Not_verified nothing_proved None
  | inl ((its_margin, f) :: _) =>
      if negb (of_one_kind f (claim_of right missed more)) then Not_verified nothing_proved None else
      if negb (same_margin its_margin margin) then Not_verified wrong_margin None else
      match follows f (claim_of right missed more) with Refused why => Not_verified why None | Fine _ => Verified end
  end.

(** ** Soundness *)

Hypothesis fits : problem_fits w P = true.

Definition meant (one : fraction * statement) : Prop := means w P (value_of (fst one)) (snd one).

Lemma derive_statement_sound : forall here r premises f, 0 < snd here -> Forall meant premises ->
  Forall (fun one => takes_any_margin r = true \/ fst one = here) premises -> derive_statement here r premises = Fine f -> means w P (value_of here) f.
Proof.
  intros here r premises f positive all margins E. unfold derive_statement in E. cbv zeta in E.
  assert (here_too : takes_any_margin r = false -> Forall (means w P (value_of here)) (map snd premises)).
  { intros no. rewrite Forall_map. apply Forall_forall. intros one I. rewrite Forall_forall in all, margins. specialize (all one I).
    destruct (margins one I) as [yes|same]; [congruence|]. subst here. exact all. }
  destruct r; try specialize (here_too eq_refl); try (set (facts := map snd premises) in *; clearbody facts; rename here_too into known).
  - apply require_fine in E. destruct E as [_ E]. now apply regions_sound with (2 := E).
  - destruct facts as [|[bits groups ranges| | | |] [|]]; try discriminate. inversion known as [|? ? H _]; subst. cbn [means] in H. destruct H as (B & G & ranged).
    now apply region_gaps_sound with (6 := E).
  - destruct facts as [|[|bits groups ranges gaps| | |] [|]]; try discriminate. inversion known as [|? ? H _]; subst. cbn [means] in H. destruct H as (B & G & ranged & behind).
    now apply region_counts_sound with (7 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply evaluate_inputs_sound with (3 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply expected_loss_sound with (3 := E).
  - now apply total_of_weights_sound with (2 := E).
Qed.

Lemma prove_step_sound : forall proved s one, Forall meant proved -> prove_step proved s = Fine one -> meant one.
Proof.
  intros proved s one all E. unfold prove_step in E.
  set (here := match own_margin s with None => margin | Some own => own end) in *.
  apply require_fine in E. destruct E as [positive E]. apply Z.ltb_lt in positive.
  destruct (find_premises proved _ here (premise_numbers s)) as [facts|] eqn:F; [|discriminate].
  apply (find_premises_sound _ meant) in F; [|exact all]. destruct F as [F1 F2].
  destruct (derive_statement here (uses s) facts) as [derived|] eqn:D; [|discriminate].
  destruct (follows derived (concluded s)) as [[]|] eqn:T; [|discriminate]. inversion E; subst.
  unfold meant. cbn [fst snd]. apply follows_sound with (1 := T). now apply derive_statement_sound with (4 := D).
Qed.

Lemma prove_steps_sound : forall steps proved all_proved, Forall meant proved -> prove_steps proved steps = inl all_proved -> Forall meant all_proved.
Proof.
  induction steps as [|s rest IH]; intros proved all_proved all E; cbn in E; [now inversion E; subst|].
  destruct (prove_step proved s) as [one|] eqn:F; [|discriminate].
  apply IH with (2 := E). constructor; [|assumption]. now apply prove_step_sound with (2 := F).
Qed.
End Steps.

Theorem check_general_sound : forall w P budget margin steps right missed more, check_general w P budget margin steps right missed more = Verified ->
  means w P (value_of margin) (claim_of right missed more).
Proof.
  intros w P budget margin steps right missed more E. unfold check_general in E.
  destruct (problem_fits w P) eqn:good; [|discriminate]. cbn [negb] in E.
  destruct (prove_steps w P budget margin [] steps) as [proved|[]] eqn:F; [|discriminate].
  apply prove_steps_sound in F; [|assumption|constructor].
  destruct proved as [|[its_margin f] proved]; [discriminate|].
  destruct (of_one_kind _ _); [|discriminate]. cbn [negb] in E.
  destruct (same_margin its_margin margin) eqn:same; [|discriminate]. apply same_margin_eq in same. subst its_margin.
  cbn [negb] in E. destruct (follows f (claim_of right missed more)) as [[]|] eqn:T; [|discriminate].
  inversion F as [|? ? H _]; subst. exact (follows_sound _ _ _ _ _ T H).
Qed.
